/** One process with one Hookline World: `hookline-child.mjs URL SIZE [FIRST]`. */
import { load, measure, park, payload, readLog, token, tokens, writeLogs } from './load.mjs';
import { obey } from './rpc.mjs';

// Another build than this one's, for a comparison.
const build = process.env.BENCH_BUILD ?? '../dist/index.mjs';
const { default: hookline, getHookByToken, resumeHook } = await import(build);
const [url, sizeText, first = '0'] = process.argv.slice(2);
const size = Number(sizeText);
const IN_FLIGHT_OF_CYCLES = 256;
const world = hookline({ url });
globalThis[Symbol.for('@workflow/world//cache')] = world;
const nextToken = tokens(size, Number(first));
const delivers = Boolean(process.env.BENCH_DELIVERS);
/** Told of each message of {@link cycles} and {@link latency}. */
let delivered = () => undefined;
if (delivers) {
  world.createQueueHandler('__wkf_workflow_', async () => undefined);
  world.createQueueHandler('__wkf_step_', async () => delivered());
  await world.start();
}
/** By the size of their payloads: the runs whose logs are read, the long one first. */
const logs = {};

obey(
  {
    park: () => park(world, size),
    resume: ({ inFlight, count, bytes }) =>
      measure(inFlight, count, () => resumeHook(nextToken(), payload(bytes))),
    load: ({ inFlight, ms, bytes }) =>
      load(inFlight, ms, () => resumeHook(nextToken(), payload(bytes))),
    lookUp: ({ count }) => measure(1, count, () => getHookByToken(nextToken())),
    writeLogs: async ({ first, bytes }) => {
      logs[bytes] = await writeLogs(getHookByToken, resumeHook, first, bytes);
    },
    readLogs: ({ bytes, isLong, isCold }) => readLogs(logs[bytes], isLong, isCold),
    memory: ({ count }) => memory(count),
    idle: ({ ms }) => idle(ms),
    cycles: ({ count }) => cycles(count),
    latency: ({ count }) => latency(count),
    settle,
  },
  () => world.close(),
);

/** The share of one core that this process uses. */
async function idle(ms) {
  const [before, begun] = [process.cpuUsage(), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, ms));
  const { user, system } = process.cpuUsage(before);
  return { share: (user + system) / 1000 / (performance.now() - begun) };
}

function send(number) {
  return world.queue('__wkf_step_bench', {
    workflowRunId: `wrun_${number}`,
    stepId: `step_${number}`,
  });
}

/** Enqueues messages, some hundreds at once; resolves when all have been delivered. */
async function cycles(count) {
  const began = performance.now();
  let left = count;
  const all = new Promise((resolve) => {
    delivered = () => {
      left -= 1;
      if (left === 0) resolve();
    };
  });
  let number = 0;
  await measure(IN_FLIGHT_OF_CYCLES, count, () => send(number++));
  await all;
  return { perSecond: (count / (performance.now() - began)) * 1000 };
}

/** From enqueuing a message until its handler is called, one at a time. */
async function latency(count) {
  const { p50Ms, p99Ms } = await measure(1, count, async () => {
    const arrived = new Promise((resolve) => (delivered = resolve));
    await Promise.all([send(-1), arrived]);
  });
  return { p50Ms, p99Ms };
}

/** Resolves when a process that delivers has nothing due any more. */
async function settle() {
  const isBusy = ({ messages: { due, leased } }) => due + leased > 0;
  while (delivers && isBusy(await world.stats())) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * How long reading a log takes. A commit before it, another run's resume, empties the caches of the
 * readers: then it is cold.
 */
async function readLogs(runs, isLong, isCold) {
  const took = [];
  for (let read = 1; read <= (isLong ? 5 : 200); read += 1) {
    if (isCold) await resumeHook(token(size - 1), payload());
    const run = runs[isLong ? 0 : 1 + (isCold ? (read * 37) % 1000 : 0)];
    const began = performance.now();
    await readLog(world, run);
    took.push(performance.now() - began);
  }
  took.sort((a, b) => a - b);
  return { p50Ms: took[Math.floor(took.length / 2)] };
}

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
