import { setTimeout } from 'node:timers/promises';
import { defineTool } from 'eve/tools';
import { always } from 'eve/tools/approval';
import { z } from 'zod';

/** Asks a person, and takes a moment. */
export default defineTool({
  description: 'Pays an order.',
  inputSchema: z.object({ order: z.string() }),
  approval: { request: always() },
  async execute({ order }) {
    console.log(`paying ${order} by ${process.env.WORKFLOW_HOOKLINE_DEPLOYMENT_ID}`);
    await setTimeout(50);
    return `paid ${order}`;
  },
});
