/**
 * How long after the commit that ends a run its `returnValue` resolves: ours beside that of the SDK,
 * with the run ended by this process, and by another one. See README.md here.
 *
 *   node bench/return-value.mjs [--runs 300] [--sdk-runs 30] [--pending 1000] [--folder PATH]
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createWorld, getRun } from 'hookline';
import * as sdk from 'workflow/api';
import { endRun, startRuns } from './load.mjs';
import { startChild } from './rpc.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '300' },
    'sdk-runs': { type: 'string', default: '30' },
    pending: { type: 'string', default: '1000' },
    folder: { type: 'string', default: join(here, '.build') },
  },
});
const [runs, sdkRuns, pending] = ['runs', 'sdk-runs', 'pending'].map((name) =>
  Number(values[name]),
);

/** Milliseconds since the epoch, finer than `Date.now()`, the same in every process of this host. */
const now = () => performance.timeOrigin + performance.now();

await mkdir(values.folder, { recursive: true });
const folder = await mkdtemp(join(values.folder, 'return-value-'));
const url = join(folder, 'world.db');
const world = createWorld({ url });
globalThis[Symbol.for('@workflow/world//cache')] = world;
const other = startChild('ender-child.mjs', [url]);
try {
  const byUs = (runId) => endRun(world, runId).then(now);
  const elsewhere = (runId) => other.tell('end', { runId });
  await measureOne('warm-up', getRun, byUs, 20);
  const rows = [
    await measureOne('ours, this process', getRun, byUs, runs),
    await measureOne('ours, another process', getRun, elsewhere, runs),
    await measureOne(`ours, another, ${pending} others pending`, getRun, elsewhere, runs, pending),
    await measureAll('SDK, this process', sdk.getRun, byUs, sdkRuns),
    await measureAll('SDK, another process', sdk.getRun, elsewhere, sdkRuns),
  ];
  console.table(Object.fromEntries(rows.map(({ name, ...row }) => [name, row])));
  console.table({ [`${pending} pending, nothing happens`]: await measureIdle() });
} finally {
  await other.stop();
  await world.close();
  await rm(folder, { recursive: true, force: true });
}

/** One run after the other: each is awaited, then ended. */
async function measureOne(name, get, end, count, others = 0) {
  const waiting = await startRuns(world, others);
  const values = waiting.map((runId) => getRun(runId).returnValue);
  const took = [];
  for (const runId of await startRuns(world, count)) took.push(await latency(get, end, runId));
  await Promise.all(waiting.map((runId) => endRun(world, runId)));
  await Promise.all(values);
  return row(name, took);
}

/** All at once, because each waits for up to a second; ended at times spread over that second. */
async function measureAll(name, get, end, count) {
  const took = [];
  const all = (await startRuns(world, count)).map((runId) => ({ runId, got: arrival(get, runId) }));
  for (const { runId, got } of all) {
    await new Promise((later) => setTimeout(later, 1000 / count));
    const committed = await end(runId);
    took.push(got.then((at) => Math.max(0, at - committed)));
  }
  return row(name, await Promise.all(took));
}

async function latency(get, end, runId) {
  const got = arrival(get, runId);
  // So that it waits by the time the run ends.
  await new Promise((later) => setTimeout(later, 2));
  const committed = await end(runId);
  return Math.max(0, (await got) - committed);
}

function arrival(get, runId) {
  return get(runId).returnValue.then(now);
}

/** Processor time of this process while many wait and nobody commits. */
async function measureIdle() {
  const waiting = await startRuns(world, pending);
  const values = waiting.map((runId) => getRun(runId).returnValue);
  await new Promise((later) => setTimeout(later, 500));
  const before = process.cpuUsage();
  await new Promise((later) => setTimeout(later, 3000));
  const { user, system } = process.cpuUsage(before);
  await Promise.all(waiting.map((runId) => endRun(world, runId)));
  await Promise.all(values);
  return { 'CPU, % of a core': ((user + system) / 30_000).toFixed(2) };
}

function row(name, took) {
  const sorted = took.sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  const ms = (value) => Number(value.toFixed(2));
  return {
    name,
    runs: took.length,
    'p50 ms': ms(at(0.5)),
    'p99 ms': ms(at(0.99)),
    'max ms': ms(sorted.at(-1)),
  };
}
