import { getRun } from 'hookline';
import type { Progress } from '@/workflows/approval';

/** The progress of a run as lines of JSON, from its beginning, while it happens. */
export async function GET(_request: Request, { params }: { params: Promise<{ runId: string }> }) {
  const run = getRun((await params).runId);
  if (!(await run.exists)) return new Response('No such run', { status: 404 });
  const lines = run.getReadable<Progress>().pipeThrough(
    new TransformStream<Progress, Uint8Array>({
      transform(progress, controller) {
        controller.enqueue(new TextEncoder().encode(`${JSON.stringify(progress)}\n`));
      },
    }),
  );
  return new Response(lines, {
    headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
  });
}
