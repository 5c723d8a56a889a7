// Worlds that are used and forgotten, collected by the garbage collector.
//
//   node --expose-gc collect.mjs <folder>

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createWorld } from 'hookline';

const LIMIT_MS = 5000;
const open = (path) => existsSync(`${path}-wal`);
const report = {};

const forgotten = join(process.argv[2], 'forgotten.db');
await use(forgotten);
report.opened = open(forgotten);
report.released = await collected(() => !open(forgotten));

const held = join(process.argv[2], 'held.db');
const kept = createWorld({ url: held });
await write(kept);
report.keptOpen = !(await collected(() => !open(held), 500));
await kept.runs.list();
await kept.close();

const started = join(process.argv[2], 'started.db');
await startAndForget(started);
report.startedStays = !(await collected(() => !open(started), 500));
process.stdout.write(JSON.stringify(report));

async function use(url) {
  await write(createWorld({ url }));
}

/** A read would not open a missing database. */
async function write(world) {
  await world.queue('__wkf_step_x', {});
}

/** A World that delivers is in use, even if no variable holds it. */
async function startAndForget(url) {
  const world = createWorld({ url });
  world.createQueueHandler('__wkf_workflow_', async () => undefined);
  await world.start();
}

async function collected(isSo, withinMs = LIMIT_MS) {
  for (let waited = 0; waited < withinMs; waited += 50) {
    globalThis.gc();
    await pause(50);
    if (isSo()) return true;
  }
  return false;
}
