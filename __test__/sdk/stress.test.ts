/**
 * Four worker processes on one database, some of which are killed at any time. With a restless server
 * (scripts/on-postgres.mjs) that is killed too.
 */
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type App, cleanUp, freshData, SDKS, startApp } from './harness';

const RUNS = 200;
const WORKERS = 4;
/** The least share of killed deliveries, and of killed executions of steps. */
const KILLED_MIN = 0.1;
/** Below this share steps do not end before they are killed, however slow the machine is. */
const HELD_BELOW = 0.11;
/** Up to this share processes are killed. From the other one on steps end, so replays and writes are killed too. */
const KILLED_AIM = 0.15;
/** How often one message or step is sought to be killed: a message whose processes die waits longer and longer. */
const KILLS_OF_ONE_MAX = 2;
const LOOK_EVERY_MS = 100;
/** Processes that are up at any time. */
const UP_MIN = 2;
/** Far more than it takes, also where other tests need the processors too. */
const LIMIT_MS = 600_000;
/** `fetch` awaits an answer for five minutes, so that a result is asked for twice. */
const RESULT_LIMIT_MS = 240_000;
/** The process that begins, or ends, to disturb the server when it gets a signal. */
const DISTURBER = Number(process.env.HOOKLINE_TEST_RESTLESS);
/** Whether deliveries of a run that are no steps may overlap. */
const MAY_OVERLAP = { workflow: false, 'workflow-5': true };

let isDisturbed = false;

function disturb(wanted: boolean): void {
  if (DISTURBER && wanted !== isDisturbed) process.kill(DISTURBER, 'SIGUSR2');
  isDisturbed = wanted;
}

afterEach(() => disturb(false));
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
 * Finds the deliveries that were cut off, those that overlapped, the steps that ran after they had
 * succeeded, and those that ran while they ran already.
 */
function examine(lines: Line[]) {
  const open = new Map<string, Line>();
  const replaying = new Map<string, Line>();
  const executing = new Map<string, Line>();
  const reported = new Set<string>();
  const found = {
    deliveries: 0,
    steps: 0,
    killed: { deliveries: 0, steps: 0 },
    overlaps: [] as Line[],
    again: [] as Line[],
    twice: [] as Line[],
  };
  for (const line of lines) {
    const { what, pid, delivery = '', runId, stepId = '' } = line;
    if (what === 'begins') {
      found.deliveries += 1;
      open.set(delivery, line);
      if (runId) {
        const other = replaying.get(runId);
        if (other && !isUndone(other, line)) found.overlaps.push(line);
        replaying.set(runId, line);
      }
    } else if (what === 'ends') {
      open.delete(delivery);
      if (runId && replaying.get(runId)?.delivery === delivery) replaying.delete(runId);
    } else if (what === 'dies') {
      for (const [name, cut] of open) {
        if (cut.pid !== pid) continue;
        found.killed.deliveries += 1;
        open.delete(name);
        if (cut.runId) replaying.delete(cut.runId);
      }
      for (const [id, cut] of executing) {
        if (cut.pid !== pid) continue;
        found.killed.steps += 1;
        executing.delete(id);
      }
    } else if (what === 'reports') {
      reported.add(stepId);
      executing.delete(stepId);
    } else if (what === 'executes') {
      found.steps += 1;
      if (reported.has(stepId)) found.again.push(line);
      if (executing.has(stepId)) found.twice.push(line);
      executing.set(stepId, line);
    }
  }
  const underWay = new Map<number, number>();
  for (const { pid = 0, delivery = '' } of open.values()) {
    const attempt = Number(delivery.split(' ')[1]);
    if (attempt <= KILLS_OF_ONE_MAX) underWay.set(pid, (underWay.get(pid) ?? 0) + 1);
  }
  return { ...found, underWay };
}

/**
 * Whether the claim of a delivery was undone, so that it begins once more. A server that is killed may lose
 * a claim, which is not synced; what the first of the two then writes is refused.
 */
function isUndone(first: Line, next: Line): boolean {
  return DISTURBER > 0 && claimOf(first) === claimOf(next);
}

/** The message and the attempt; then comes the process. */
function claimOf({ delivery = '' }: Line): string {
  return delivery.slice(0, delivery.lastIndexOf(' '));
}

/** Whether as many have been killed as this share of them all, both of deliveries and of steps. */
function reached(share: number, { deliveries, steps, killed }: ReturnType<typeof examine>) {
  return killed.deliveries >= share * deliveries && killed.steps >= share * steps;
}

async function resultsOf(app: App, runIds: string[]) {
  const results: { winner: number; sum: number }[] = [];
  for (const runId of runIds) {
    const result = () =>
      app.ask<(typeof results)[number]>('result', { runId, withinMs: RESULT_LIMIT_MS });
    results.push(await result().catch(result));
  }
  return results;
}

describe.each(SDKS)('with the SDK %s', (sdk) => {
  test(
    `${RUNS} runs complete on ${WORKERS} processes, a tenth of whose deliveries are killed`,
    async () => {
      const data = freshData();
      const record = join(data, 'record');
      const held = `${record}.held`;
      closeSync(openSync(record, 'a'));
      const world = join(__dirname, '../fixtures/recording-world.cjs') as `/${string}`;
      // Few at a time, so that there are steps to kill all the time.
      const env = { RECORD: record, WORKFLOW_HOOKLINE_CONCURRENCY: '12' };
      const worker = async (): Promise<App> => {
        const started = startApp({ data, sdk, world, env });
        // As whoever supervises it does.
        return DISTURBER ? started.catch(worker) : started;
      };
      const [producer, ...workers] = await Promise.all([
        startApp({ data, sdk, role: 'producer' }),
        ...Array.from({ length: WORKERS }, worker),
      ] as const);

      const names = Array.from({ length: RUNS }, (_, n) => `run ${n}`);
      const all = names.map((name) => [name, record]);
      const runIds = await producer.ask<string[]>('startMany', { workflow: 'stress', all });
      disturb(true);
      let over = false;
      const results = resultsOf(producer, runIds).finally(() => (over = true));
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
      const up: App[] = [...workers];
      const starting = new Set<Promise<void>>();
      while (!over) {
        await pause(LOOK_EVERY_MS);
        const found = examine(read(record));
        const load = ({ pid }: App) => found.underWay.get(pid) ?? 0;
        const [busiest] = up.sort((one, other) => load(other) - load(one));
        const isBusy = busiest !== undefined && load(busiest) > 0;
        if (isBusy && !reached(HELD_BELOW, found)) writeFileSync(held, '');
        else rmSync(held, { force: true });
        // Somebody must live to see who is dead.
        if (over || !isBusy || reached(KILLED_AIM, found) || up.length <= UP_MIN) continue;
        up.shift();
        await busiest.dies('SIGUSR2');
        const started = worker().then((app) => {
          up.push(app);
          starting.delete(started);
        });
        starting.add(started);
      }
      await Promise.all(starting);

      const ended = await results;
      await resuming;
      disturb(false);
      expect(ended.map(({ sum }) => sum)).toEqual(names.map(() => 16));
      for (const [n, { winner }] of ended.entries()) expect([0, n + 1]).toContain(winner);
      const found = examine(read(record));
      const { overlaps, again, twice, deliveries, steps, killed } = found;
      expect({ again, twice }).toEqual({ again: [], twice: [] });
      if (!MAY_OVERLAP[sdk]) expect(overlaps).toEqual([]);
      // Each run has four steps, and enough deliveries must have been killed.
      expect(steps).toBeGreaterThanOrEqual(4 * RUNS);
      if (process.env.VERBOSE)
        console.log({ deliveries, steps, killed, overlaps: overlaps.length });
      expect(reached(KILLED_MIN, found)).toBe(true);
    },
    LIMIT_MS,
  );
});
