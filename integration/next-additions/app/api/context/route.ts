import { start } from 'hookline';
import { context } from '@/workflows/context';

/** What the step of the workflow saw. */
export async function POST() {
  const run = await start(context, []);
  return Response.json(await run.returnValue);
}
