// Ends in the middle of everything, in one of several ways.
//
//   node exit.mjs <way> <folder>

import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { resumeHook } from 'hookline';
import { seed, useDatabase } from '../bad-input/resume.mjs';

const [, , way, folder] = process.argv;
const world = useDatabase(join(folder, 'hookline.db'));
globalThis[Symbol.for('@workflow/world//cache')] = world;
await seed(world, 'token');
// This handler never ends, except at a close, which waits for its deliveries.
world.createQueueHandler('__wkf_workflow_', async () => {
  if (way !== 'close') await new Promise(() => undefined);
});
await world.start();
(await world.readFromStream('nobody'))
  .getReader()
  .read()
  .catch(() => undefined);
const resumes = Array.from({ length: 100 }, (_, n) => resumeHook('token', { n }));
resumes.push(world.runs.list(), world.hooks.list());
for (const resume of resumes) resume.catch(() => undefined);

switch (way) {
  case 'exit':
    process.exit(0);
    break;
  case 'exit soon':
    setTimeout(() => process.exit(0), 3);
    break;
  case 'exit while closing':
    world.close();
    setImmediate(() => process.exit(0));
    break;
  case 'throw':
    throw new Error('of the program');
  case 'exit in a thread':
    new Worker(
      `
        const { resumeHook } = require('hookline');
        for (let n = 0; n < 50; n += 1) resumeHook('token', n).catch(() => undefined);
        setTimeout(() => process.exit(0), 5);
      `,
      { eval: true },
    ).on('exit', () => process.exit(0));
    break;
  case 'close':
    await world.close();
    break;
}
