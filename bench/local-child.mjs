/** One process with one World of `@workflow/world-local`, resumed by the SDK's own resumeHook. */
import { createLocalWorld } from '@workflow/world-local';
import { resumeHook } from 'workflow/api';
import { measure, PAYLOAD, park, tokens } from './load.mjs';
import { obey } from './rpc.mjs';

const [dataDir, sizeText] = process.argv.slice(2);
const size = Number(sizeText);
const world = createLocalWorld({ dataDir, recoverActiveRuns: false });
globalThis[Symbol.for('@workflow/world//cache')] = world;
const nextToken = tokens(size);

obey(
  {
    async park() {
      await world.start();
      // It takes wake-ups at once and does nothing with them: only the resume is measured.
      world.registerHandler('__wkf_workflow_', async () => Response.json({}));
      // Fewer at once: it checks a token by reading the files of all hooks.
      await park(world, size, 16);
    },
    resume: ({ inFlight, count }) =>
      measure(inFlight, count, () => resumeHook(nextToken(), PAYLOAD)),
  },
  () => world.close(),
);
