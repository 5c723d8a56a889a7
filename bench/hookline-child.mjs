/** One process with one Hookline World: `hookline-child.mjs FILE SIZE`. */
import { load, measure, park, payload, tokens } from './load.mjs';
import { obey } from './rpc.mjs';

// Another build than this one's, for a comparison.
const build = process.env.BENCH_BUILD ?? '../dist/index.mjs';
const { default: hookline, getHookByToken, resumeHook } = await import(build);
const [url, sizeText] = process.argv.slice(2);
const size = Number(sizeText);
const world = hookline({ url });
globalThis[Symbol.for('@workflow/world//cache')] = world;
const nextToken = tokens(size);

obey(
  {
    park: () => park(world, size),
    resume: ({ inFlight, count, bytes }) =>
      measure(inFlight, count, () => resumeHook(nextToken(), payload(bytes))),
    load: ({ inFlight, ms, bytes }) =>
      load(inFlight, ms, () => resumeHook(nextToken(), payload(bytes))),
    lookUp: ({ count }) => measure(1, count, () => getHookByToken(nextToken())),
    memory: ({ count }) => memory(count),
  },
  () => world.close(),
);

/** What the process holds after using many hooks, with a worker that has nothing to do. */
async function memory(count) {
  world.createQueueHandler('__wkf_workflow_', async () => undefined);
  await world.start();
  for (let done = 0; done < count; done += 1) await getHookByToken(nextToken());
  await new Promise((resolve) => setTimeout(resolve, 500));
  for (let times = 0; times < 3; times += 1) globalThis.gc();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heapUsed, external };
}
