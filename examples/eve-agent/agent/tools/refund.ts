import { defineTool } from 'eve/tools';
import { always } from 'eve/tools/approval';
import { z } from 'zod';
import { ORDERS } from '../lib/shop';

const amountOf = (order: string) => ORDERS.find(({ id }) => id === order)?.amount ?? 0;

export default defineTool({
  description: 'Refunds an order.',
  inputSchema: z.object({ order: z.string() }),
  approval: {
    request: always(),
    prompt: ({ input }) => `Refund € ${amountOf(input.order)} for order ${input.order}?`,
  },
  execute({ order }) {
    console.log(`refunding ${order}`);
    return { order, refunded: amountOf(order) };
  },
});
