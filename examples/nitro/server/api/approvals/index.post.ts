import { start } from 'hookline';
import { defineHandler } from 'nitro/h3';
import { approval } from '../../../workflows/approval';

/** Starts a workflow: `{ "invoice": "1001", "amount": 420 }`. */
export default defineHandler(async (event) => {
  const { invoice, amount } = (await event.req.json()) as { invoice: string; amount: number };
  const run = await start(approval, [invoice, amount]);
  return { runId: run.runId };
});
