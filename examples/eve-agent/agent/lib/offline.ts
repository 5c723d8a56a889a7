import { mockModel } from 'eve/evals';

/** In the place of a model: it knows two questions, and needs neither a key nor a network. */
export const offline = mockModel(({ messages, lastUserMessage, toolResults, tools }) => {
  // Asked to summarize a long conversation.
  if (tools.length === 0) return 'They spoke about orders.';
  if (messages.at(-1)?.role === 'tool') {
    const { output } = toolResults.at(-1) ?? {};
    return `Here it is: ${JSON.stringify(output)}`;
  }
  const question = lastUserMessage ?? '';
  const order = question.match(/\d{4}/)?.[0];
  if (order && /refund/i.test(question)) {
    return { toolCalls: [{ name: 'refund', input: { order } }] };
  }
  if (/orders/i.test(question)) {
    return { toolCalls: [{ name: 'orders', input: { onlyLate: /late/i.test(question) } }] };
  }
  return 'Ask for the orders, or for the refund of one by its number.';
});
