import { getRun, resumeHook, start, waitForHook } from 'hookline';
import { approval } from './workflows/approval';

export interface Act {
  act: 'start' | 'approve' | 'look';
  invoice: string;
  runId: string;
}

/** One act of the approval story; a route calls it. */
export async function story({ act, invoice, runId }: Act) {
  if (act === 'start') {
    const run = await start(approval, [invoice]);
    await waitForHook(`invoice-${invoice}`, { timeout: 60_000 });
    return { runId: run.runId };
  }
  if (act === 'approve') {
    const hook = await resumeHook(`invoice-${invoice}`, { approved: true });
    return { runId: hook.runId };
  }
  const run = getRun(runId);
  const status = await run.status;
  return { status, result: status === 'completed' ? await run.returnValue : undefined };
}
