import { getRun } from 'hookline';
import { defineHandler } from 'nitro/h3';

/** The status of a run, and its result if it has ended. */
export default defineHandler(async (event) => {
  const run = getRun(event.context.params?.runId ?? '');
  const status = await run.status;
  return { status, result: status === 'completed' ? await run.returnValue : undefined };
});
