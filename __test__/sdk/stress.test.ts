/** Four worker processes on one file, some of which are killed at any time. */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type App, cleanUp, freshData, startApp } from './harness';

const RUNS = 200;
const WORKERS = 4;
/** The share of killed deliveries: the aim, and the least that is accepted. */
const KILLED_AIM = 0.15;
const KILLED_MIN = 0.05;
const KILL_EVERY_MS = 200;
/** Processes that are up at any time. */
const UP_MIN = 2;
const LIMIT_MS = 300_000;

afterAll(cleanUp);

/** A line of `fixtures/recording-world.cjs`, or of a step's body. */
interface Line {
  what: 'begins' | 'ends' | 'dies' | 'reports' | 'executes';
  pid?: number;
  delivery?: string;
  runId?: string;
  stepId?: string;
}

function read(record: string): Line[] {
  const whole = readFileSync(record, 'utf8').split('\n').slice(0, -1);
  return whole.map((line) => JSON.parse(line));
}

/**
 * Counts the deliveries that were cut off, those that overlapped, and the steps that ran after they
 * had succeeded.
 */
function examine(lines: Line[]) {
  const open = new Map<string, Line>();
  const replaying = new Map<string, Line>();
  const reported = new Set<string>();
  const found = {
    deliveries: 0,
    killed: 0,
    replays: 0,
    overlaps: [] as Line[],
    again: [] as Line[],
  };
  for (const line of lines) {
    const { what, pid, delivery = '', runId, stepId = '' } = line;
    if (what === 'begins') {
      found.deliveries += 1;
      open.set(delivery, line);
      if (runId) {
        found.replays += 1;
        if (replaying.has(runId)) found.overlaps.push(line);
        replaying.set(runId, line);
      }
    } else if (what === 'ends') {
      open.delete(delivery);
      if (runId && replaying.get(runId)?.delivery === delivery) replaying.delete(runId);
    } else if (what === 'dies') {
      for (const [name, cut] of open) {
        if (cut.pid !== pid) continue;
        found.killed += 1;
        open.delete(name);
        if (cut.runId) replaying.delete(cut.runId);
      }
    } else if (what === 'reports') reported.add(stepId);
    else if (reported.has(stepId)) found.again.push(line);
  }
  return found;
}

test(
  `${RUNS} runs complete on ${WORKERS} processes, many of whose deliveries are killed`,
  async () => {
    const data = freshData();
    const record = join(data, 'record');
    closeSync(openSync(record, 'a'));
    const world = join(__dirname, '../fixtures/recording-world.cjs') as `/${string}`;
    const env = { RECORD: record };
    const worker = () => startApp({ data, world, env });
    const [producer, ...workers] = await Promise.all([
      startApp({ data, role: 'producer' }),
      ...Array.from({ length: WORKERS }, worker),
    ] as const);

    const names = Array.from({ length: RUNS }, (_, n) => `run ${n}`);
    const all = names.map((name) => [name, record]);
    const runIds = await producer.ask<string[]>('startMany', { workflow: 'stress', all });
    let over = false;
    const results = producer
      .ask<{ winner: number; sum: number }[]>('results', { runIds })
      .finally(() => (over = true));
    // Resumes come before, while and after the runs wait for them, so a missing hook is not a
    // fault.
    const resumes = names.flatMap((name, n) => [
      { token: `${name}.a`, payload: { n: n + 1 } },
      ...(n % 2 === 0 ? [{ token: `${name}.b`, payload: { n: n + 1 } }] : []),
    ]);
    const resuming = (async () => {
      for (let times = 0; times < 4 && !over; times += 1) {
        await producer.ask('resumeMany', { via: 'hookline', all: resumes });
        await pause(300);
      }
    })();
    // A process that has just started has nothing in flight yet: it is at the end of the queue.
    const up: App[] = [...workers];
    const starting = new Set<Promise<void>>();
    while (!over) {
      await pause(KILL_EVERY_MS);
      const { deliveries, killed } = examine(read(record));
      if (over || killed >= KILLED_AIM * deliveries || up.length <= UP_MIN) continue;
      await up.shift()?.dies('SIGUSR2');
      const started = worker().then((app) => {
        up.push(app);
        starting.delete(started);
      });
      starting.add(started);
    }
    await Promise.all(starting);

    const ended = await results;
    await resuming;
    expect(ended.map(({ sum }) => sum)).toEqual(names.map(() => 16));
    for (const [n, { winner }] of ended.entries()) expect([0, n + 1]).toContain(winner);
    const { overlaps, again, deliveries, killed, replays } = examine(read(record));
    expect({ overlaps, again }).toEqual({ overlaps: [], again: [] });
    // Each run has four steps, and enough deliveries must have been killed.
    expect(deliveries - replays).toBeGreaterThanOrEqual(4 * RUNS);
    expect(killed).toBeGreaterThanOrEqual(KILLED_MIN * deliveries);
    if (process.env.VERBOSE) console.log({ deliveries, killed, replays });
  },
  LIMIT_MS,
);
