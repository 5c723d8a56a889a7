// A worker whose deliveries something prevents. Ends when its standard input ends.
//
//   node silent-worker.mjs <options of createWorld() as JSON> <how it handles>
//
// `how` is `hangs`: its handlers take a message and never end; `lacksSteps`: the SDK has loaded none of
// the app's steps in it; `nothing`: it has no handler.
//
// Prints `ready` when it delivers, and `took` when a handler takes a message.

import { createWorld } from 'hookline';

const [, , options, how] = process.argv;
const world = createWorld(JSON.parse(options));
if (how === 'lacksSteps') globalThis[Symbol.for('@workflow/core//registeredSteps')] = new Map();
if (how !== 'nothing') {
  for (const prefix of ['__wkf_workflow_', '__wkf_step_']) {
    world.createQueueHandler(prefix, async () => {
      console.log('took');
      if (how === 'hangs') await new Promise(() => undefined);
    });
  }
}
await world.start();
console.log('ready');
process.stdin.resume().on('end', () => process.exit());
