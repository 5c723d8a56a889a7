import { mockModel } from 'eve/evals';

/** The tool that a message calls, and its input. */
const CALLS: Record<string, [tool: string, input: object]> = {
  orders: ['orders', { onlyLate: true }],
  'Which orders are late?': ['orders', { onlyLate: true }],
  refund: ['refund', { order: '1001' }],
  slow: ['slow', {}],
  pause: ['pause', {}],
  clerk: ['clerk', { message: 'orders' }],
};

/** What `pay <order>` calls. */
function payment(said: string): [tool: string, input: object] | undefined {
  const [word, order] = said.split(' ');
  return word === 'pay' ? ['pay', { order }] : undefined;
}

/** The model of the tests: a message that names a tool calls it once, and a result ends the turn. */
export const offline = mockModel(({ lastUserMessage, userMessages, toolResults }) => {
  const said = lastUserMessage?.trim() ?? '';
  const [tool, input] = CALLS[said] ?? payment(said) ?? [];
  if (!tool) return `${said}: ${userMessages.length} messages`;
  const results = toolResults.filter(({ name }) => name === tool);
  if (results.length < userMessages.filter((message) => message.trim() === said).length) {
    return { toolCalls: [{ name: tool, input }] };
  }
  return `${said}: ${JSON.stringify(results.at(-1)?.output)}`;
});
