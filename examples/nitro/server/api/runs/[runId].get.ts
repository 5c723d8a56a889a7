import { getRun } from 'hookline';
import { defineHandler } from 'nitro/h3';

/** How a run stands, and its result when it has one. */
export default defineHandler(async (event) => {
  const run = getRun(event.context.params?.runId ?? '');
  const status = await run.status;
  return { status, result: status === 'completed' ? await run.returnValue : undefined };
});
