// Threads that resume hooks and deliver messages are terminated in the middle of it, again and
// again.
//
//   node terminate.mjs <seed> <folder>

import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { createWorld, resumeHook } from 'hookline';
import { seed as seedHook, useDatabase } from '../bad-input/resume.mjs';

const THREADS = 30;
const TOKENS = ['a', 'b', 'c', 'd'];
/** Longer than the delay of a message that did not reach its handler. */
const QUIET_MS = 1500;

if (isMainThread) await terminateThreads();
else await work();

async function terminateThreads() {
  let state = Number(process.argv[2]);
  const random = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
  const world = useDatabase(join(process.argv[3], 'hookline.db'));
  const runIds = [];
  for (const token of TOKENS) runIds.push(await seedHook(world, token));

  const acknowledged = [];
  let deliveries = 0;
  for (let life = 0; life < THREADS; life += 1) {
    const thread = new Worker(fileURLToPath(import.meta.url), {
      workerData: { life, works: life % 2 === 0 },
    });
    const begun = new Promise((resolve) => {
      thread.on('message', (message) => {
        if (message === 'delivery') deliveries += 1;
        else acknowledged.push(message);
        resolve();
      });
    });
    thread.on('error', (error) => {
      throw error;
    });
    // Some are terminated before they have done anything.
    if (life % 5 !== 0) await begun;
    await pause(random() * 40);
    await thread.terminate();
    // This does not disturb the work of this thread.
    await resumeHook(TOKENS[life % TOKENS.length], { id: `main.${life}` });
    acknowledged.push(`main.${life}`);
  }

  // The next handler gets the threads' deliveries, although this process is still alive.
  const seen = new Set();
  let last = performance.now();
  world.createQueueHandler('__wkf_workflow_', async ({ runId }) => {
    seen.add(runId);
    last = performance.now();
  });
  await world.start();
  const begun = performance.now();
  while (
    performance.now() < Math.max(last + QUIET_MS, seen.size < TOKENS.length ? begun + 8000 : 0)
  )
    await pause(20);
  const closing = performance.now();
  await world.close();
  const closeMs = performance.now() - closing;
  process.stdout.write(JSON.stringify({ acknowledged, deliveries, seen: seen.size, closeMs }));
}

async function work() {
  const { life, works } = workerData;
  const world = createWorld();
  if (works) {
    world.createQueueHandler('__wkf_workflow_', async () => {
      parentPort.postMessage('delivery');
      // Longer than this thread will live.
      await pause(60_000);
    });
    await world.start();
  }
  // Pending for ever: nobody writes this stream.
  (await world.readFromStream('nobody')).getReader().read();
  await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((lane) => resumeForEver(life, lane)));
}

async function resumeForEver(life, lane) {
  for (let n = 0; ; n += 1) {
    const id = `${life}.${lane}.${n}`;
    await resumeHook(TOKENS[(n + lane) % TOKENS.length], { id });
    parentPort.postMessage(id);
  }
}
