// A thread takes over the deliveries of its process, and is terminated: the main thread, which has
// a handler too, delivers again.
//
//   node succeed.mjs <folder>

import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { createWorld, resumeHook } from 'hookline';
import { seed, useDatabase } from '../bad-input/resume.mjs';

const LIMIT_MS = 5000;

if (isMainThread) {
  const world = useDatabase(join(process.argv[2], 'hookline.db'));
  await seed(world, 'token');
  let deliveries = 0;
  world.createQueueHandler('__wkf_workflow_', async () => {
    deliveries += 1;
  });
  await world.start();
  const delivered = async () => {
    for (let waited = 0; deliveries === 0 && waited < LIMIT_MS; waited += 20) await pause(20);
  };
  // The seeded run has had no replay, so a starting worker wakes it; only the later deliveries
  // count.
  await delivered();
  deliveries = 0;
  const thread = new Worker(fileURLToPath(import.meta.url));
  await new Promise((resolve) => thread.once('message', resolve));
  await thread.terminate();
  await resumeHook('token', 1);
  await delivered();
  await world.close();
  process.stdout.write(JSON.stringify({ deliveries }));
} else {
  const world = createWorld();
  world.createQueueHandler('__wkf_workflow_', async () => undefined);
  await world.start();
  setInterval(() => undefined, 1000);
  parentPort.postMessage('started');
}
