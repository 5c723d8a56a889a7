import { defineTool } from 'eve/tools';
import { z } from 'zod';
import { ORDERS } from '../lib/shop';

export default defineTool({
  description: 'Lists the orders, or only those that are late.',
  inputSchema: z.object({ onlyLate: z.boolean() }),
  execute({ onlyLate }) {
    console.log('listing orders');
    return ORDERS.filter(({ isLate }) => isLate || !onlyLate);
  },
});
