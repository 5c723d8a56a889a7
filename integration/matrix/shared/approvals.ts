import { resumeHook, start } from 'hookline';
import { approval } from './workflows/approval';

/** Asks for an approval, or gives it: `{ "invoice": "7" }`, `{ "invoice": "7", "approved": true }`. */
export async function approvals({ invoice, approved }: { invoice: string; approved?: boolean }) {
  if (approved === undefined) return { runId: (await start(approval, [invoice])).runId };
  const hook = await resumeHook(`invoice-${invoice}`, { approved });
  return { runId: hook.runId };
}
