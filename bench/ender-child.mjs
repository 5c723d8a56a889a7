/** Another process on the same database, which ends runs and says when that was committed. */
import { createWorld } from 'hookline';
import { endRun } from './load.mjs';
import { obey } from './rpc.mjs';

const world = createWorld({ url: process.argv[2] });

obey(
  {
    end: ({ runId }) => endRun(world, runId).then(() => performance.timeOrigin + performance.now()),
  },
  () => world.close(),
);
