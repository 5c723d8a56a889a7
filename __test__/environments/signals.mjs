// Works on a delivery when a signal comes, in one of several surroundings.
//
//   node signals.mjs <way> <folder>
//
// Prints "at work" when the delivery has begun, and "done" when it is over.

import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createWorld } from 'hookline';

const [, , way, folder] = process.argv;
const world = createWorld({ url: join(folder, 'hookline.db'), delivery: 'direct' });

world.createQueueHandler('__wkf_step_', async () => {
  process.stdout.write('at work\n');
  await pause(way === 'hangs' ? 1_000_000 : 300);
  process.stdout.write('done\n');
});

if (way === 'host that gave its route') {
  process.once('SIGTERM', async () => process.exit(7));
  world.registerHandler('__wkf_workflow_', async () => new Response());
}
if (way === 'host') process.on('SIGTERM', () => process.exit(7));
if (way === 'host that listens once') process.once('SIGTERM', () => process.exit(7));
// As the package signal-exit does: it ends the process by the signal when it is alone.
if (way === 'host that looks whether it is alone') {
  const listener = () => {
    if (process.listenerCount('SIGTERM') > 1) return;
    process.removeListener('SIGTERM', listener);
    process.kill(process.pid, 'SIGTERM');
  };
  process.on('SIGTERM', listener);
}

await world.queue('__wkf_step_x', { n: 1 });
await world.start();
if (way === 'closed') {
  await world.close();
  process.stdout.write('closed\n');
  await pause(1_000_000);
}
// A server would keep the process alive.
if (way !== 'nothing else') setInterval(() => undefined, 1_000_000);
