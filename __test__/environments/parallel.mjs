// Eight threads use one database at the same time, each with a World of its own.
//
//   node parallel.mjs <folder>

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { createWorld, resumeHook } from 'hookline';
import { seed, useDatabase } from '../bad-input/resume.mjs';

const THREADS = 8;
const RESUMES = 100;

if (isMainThread) {
  const world = useDatabase(join(process.argv[2], 'hookline.db'));
  const runId = await seed(world, 'shared');
  const results = await Promise.all(
    Array.from(
      { length: THREADS },
      (_, thread) =>
        new Promise((resolve, reject) => {
          new Worker(fileURLToPath(import.meta.url), { workerData: { thread, runId } })
            .on('message', resolve)
            .on('error', reject);
        }),
    ),
  );
  const again = await resumeHook('shared', { id: 'main' });
  await world.close();
  process.stdout.write(JSON.stringify({ results, same: again.runId === runId }));
} else {
  const { thread, runId } = workerData;
  const world = createWorld();
  await Promise.all(
    Array.from({ length: RESUMES }, (_, n) => resumeHook('shared', { id: `${thread}.${n}` })),
  );
  const { data } = await world.events.list({ runId, pagination: { limit: 1000 } });
  const error = await resumeHook('nobody', 1).catch((reason) => reason);
  // One of two Worlds closes; the other Worlds of the process continue.
  if (thread % 2 === 0) await world.close();
  const mine = data.filter((event) => event.eventType === 'hook_received').length >= RESUMES;
  parentPort.postMessage([mine, error instanceof Error && error.name]);
}
