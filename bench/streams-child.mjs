/**
 * One process with one World and live streams, written and read as the SDK does both:
 * `streams-child.mjs WORLD PLACE`, where WORLD is `hookline`, `world-local` or `world-postgres`.
 */
import {
  WorkflowServerReadableStream,
  WorkflowServerWritableStream,
} from '@workflow/core/serialization';
import { startRuns } from './load.mjs';
import { obey } from './rpc.mjs';

/** How long after the load the script waits for late chunks. */
const LATE_MS = 30_000;

const [kind, place] = process.argv.slice(2);
const world = await createNamed(kind, place);
globalThis[Symbol.for('@workflow/world//cache')] = world;

/** The open streams: `{ writer, read }`, where `read` ends when the stream does. */
let streams = [];
/** What the load that runs now has seen: how long each chunk took, in milliseconds. */
let took = [];
let written = 0;
/** Chunks that were due before belong to an earlier load. */
let since = 0;
let allArrived = () => undefined;
let isClosing = false;

obey({ open, load, end }, () => {
  // After a load that never arrived the streams are still open. They fail when the World closes.
  isClosing = true;
  return world.close();
});

async function createNamed(name, at) {
  if (name === 'world-local') {
    const { createLocalWorld } = await import('@workflow/world-local');
    return createLocalWorld({ dataDir: at, recoverActiveRuns: false });
  }
  if (name === 'world-postgres') {
    const { createWorld } = await import(process.env.BENCH_WORLD_POSTGRES);
    return createWorld({ connectionString: at });
  }
  // Another build than this one's, for a comparison.
  const { createWorld } = await import(process.env.BENCH_BUILD ?? '../dist/index.mjs');
  return createWorld({ url: at });
}

/** Opens so many streams, each of a run of its own and with one reader. */
async function open({ count, bytes }) {
  const runIds = await startRuns(world, count);
  streams = runIds.map((runId) => {
    const name = `${runId.replace('wrun_', 'strm_')}_user`;
    const writer = new WorkflowServerWritableStream(name, runId).getWriter();
    return { writer, read: readAll(name, bytes).catch(fail) };
  });
}

async function readAll(name, bytes) {
  let rest = Buffer.alloc(0);
  for await (const part of new WorkflowServerReadableStream(name, 0)) {
    const at = performance.now();
    rest = rest.length === 0 ? Buffer.from(part) : Buffer.concat([rest, part]);
    for (; rest.length >= bytes; rest = rest.subarray(bytes)) arrived(rest.readDoubleLE(0), at);
  }
}

function arrived(due, at) {
  if (due < since) return;
  took.push(at - due);
  if (took.length === written) allArrived();
}

/**
 * Writes a chunk into every stream `perSecond` times a second, for so long. A chunk is written when it
 * is due, whether earlier ones have arrived or not, and its time begins when it was due: so a World
 * that falls behind, or keeps the process busy, cannot slow the load down that it is measured by.
 */
async function load({ ms, perSecond, bytes }) {
  const period = 1000 / perSecond;
  const began = performance.now() + period;
  const rounds = Math.round((ms / 1000) * perSecond);
  [took, since, written] = [[], began, rounds * streams.length];
  const complete = new Promise((resolve) => {
    allArrived = resolve;
  });
  const cpu = process.cpuUsage();
  await writeWhenDue({ began, period, bytes });
  const behind = written - took.length;
  let giveUp;
  const late = new Promise((resolve) => {
    giveUp = setTimeout(resolve, LATE_MS);
  });
  await Promise.race([complete, late]);
  clearTimeout(giveUp);
  const { user, system } = process.cpuUsage(cpu);
  return { ...summary(), behind, chunks: written, cpuMs: (user + system) / 1000 };
}

/** The due times of the streams are spread over the period, in the order of the streams. */
async function writeWhenDue({ began, period, bytes }) {
  const dueAt = (index) => {
    const [round, stream] = [Math.floor(index / streams.length), index % streams.length];
    return began + (round + stream / streams.length) * period;
  };
  for (let next = 0; next < written; ) {
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, dueAt(next) - performance.now())),
    );
    for (const now = performance.now(); next < written && dueAt(next) <= now; next += 1) {
      const chunk = Buffer.alloc(bytes, 'n');
      chunk.writeDoubleLE(dueAt(next), 0);
      streams[next % streams.length].writer.write(chunk).catch(fail);
    }
  }
}

/** A chunk that has not arrived has taken at least as long as it was waited for. */
function summary() {
  const missing = written - took.length;
  const sorted = [...took, ...Array(missing).fill(LATE_MS)].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(written - 1, Math.floor(written * share))];
  return { p50Ms: at(0.5), p99Ms: at(0.99), missing };
}

async function end() {
  await Promise.all(streams.map(({ writer }) => writer.close()));
  await Promise.all(streams.map(({ read }) => read));
  streams = [];
}

function fail(error) {
  if (isClosing) return;
  console.error(error);
  process.exit(1);
}
