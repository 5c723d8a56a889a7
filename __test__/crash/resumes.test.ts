/** A process that resumes hooks is killed again and again on one database. */

import type { World } from 'hookline';
import { cleanUp, newDatabase, newHook, newRun, newWorld } from '../support';
import {
  BUILD_LIMIT_MS,
  buildInspector,
  type Found,
  inspect,
  killAt,
  type Moment,
  type Random,
  repeated,
  until,
  withSeed,
} from './harness';

const KILLS = 30;
const HOOKS = 24;
/** Longer than the longest wait of a message whose processes have died again and again. */
const BACK_OFF_MS = 90_000;
/** Covers loading, opening and the first resumes of a process on a slow machine. */
const OPENING_MS = 400;

beforeAll(buildInspector, BUILD_LIMIT_MS);
afterEach(cleanUp);

/** The output of the killed processes. */
interface Witness {
  tokens: string[];
  runIds: string[];
  /** Ids of acknowledged resumes, by run. */
  acknowledged: Map<string, string[]>;
  /** The most payloads that a delivery has seen in the log of a run. */
  seen: Map<string, number>;
}

/** The marks by which an SDK shows its line in a process, and the spec version of its runs. */
const LINES = [
  { line: 4, marks: [], specVersion: 3 },
  { line: 5, marks: ['@workflow/world//getWorldFn'], specVersion: 7 },
];

describe.each(LINES)('on line $line of the SDK', ({ marks, specVersion }) => {
  const globals = globalThis as { [mark: symbol]: unknown };
  beforeAll(() => {
    for (const mark of marks) globals[Symbol.for(mark)] = true;
  });
  afterAll(() => {
    for (const mark of marks) delete globals[Symbol.for(mark)];
  });

  test(
    'kill -9 at any moment loses no acknowledged resume, repeats none and leaves no run asleep',
    withSeed(async (random) => {
      const database = newDatabase();
      const witness = await seedHooks(database, specVersion);
      for (let life = 0; life < KILLS; life += 1) {
        const { moment, input } = plan(life, random);
        const lines = await killAt(moment, 'resume-stream', database, {
          ...input,
          marks,
          tokens: witness.tokens,
        });
        lines.forEach((line) => {
          hear(witness, line);
        });
        checkLog(inspect(database), witness);
      }
      const acknowledged = [...witness.acknowledged.values()].flat().length;
      expect(acknowledged).toBeGreaterThan(KILLS * 10);

      await expectAllWoken(newWorld({ url: database }), inspect(database));
      expect(inspect(database).messages).toBe(0);
    }),
    240_000,
  );
});

test(
  'kill -9 while a new database is made leaves one that the next process can use',
  withSeed(async (random) => {
    for (let life = 0; life < 12; life += 1) {
      const database = newDatabase();
      const afterLine = { afterLines: 1, thenMs: random() * 15 };
      const lines = await killAt(afterLine, 'open', database, {});
      expect(lines[0]).toBe('opening');
      const world = newWorld({ url: database });
      const { runId } = await newHook(world, 'token');
      await world.close();
      const found = inspect(database);
      expect([found.integrity, found.events, found.gaps]).toEqual([['ok'], 3, []]);
      expect(runId).toMatch(/^wrun_/);
    }
  }),
  60_000,
);

async function seedHooks(database: string, specVersion: number): Promise<Witness> {
  const world = newWorld({ url: database });
  const tokens = Array.from({ length: HOOKS }, (_, n) => `hook ${n}`);
  const hooks = await Promise.all(
    tokens.map(async (token) =>
      newHook(world, token, { runId: await newRun(world, { specVersion }) }),
    ),
  );
  await world.close();
  const runIds = hooks.map((hook) => hook.runId);
  return { tokens, runIds, acknowledged: new Map(), seen: new Map() };
}

/**
 * Some are killed while they open, some at work; some kill themselves during a resume or after it.
 */
function plan(life: number, random: Random): { moment: Moment; input: object } {
  const input = { life, lanes: 1 + Math.floor(random() * 24), works: random() < 0.5 };
  const count = 1 + Math.floor(random() * 300);
  const never = { afterLines: Number.POSITIVE_INFINITY, thenMs: 0 };
  switch (life % 4) {
    case 0:
      return { moment: { afterMs: random() * OPENING_MS }, input };
    case 1:
      return { moment: { afterLines: count, thenMs: random() * 5 }, input };
    case 2:
      return { moment: never, input: { ...input, diesAt: count } };
    default:
      return { moment: never, input: { ...input, diesAtAck: count } };
  }
}

function hear({ runIds, acknowledged, seen }: Witness, line: string): void {
  const [what, which, value] = line.split(' ') as [string, string, string];
  if (what === 'seen') {
    seen.set(which, Math.max(seen.get(which) ?? 0, Number(value)));
    return;
  }
  expect(what).toBe('ack');
  const runId = runIds[Number(which)] as string;
  acknowledged.set(runId, [...(acknowledged.get(runId) ?? []), value]);
}

function checkLog(found: Found, { runIds, acknowledged, seen }: Witness): void {
  expect(found.integrity).toEqual(['ok']);
  expect(found.gaps).toEqual([]);
  for (const runId of runIds) {
    const ids = (found.received[runId] ?? []).map(idOf);
    const logged = new Set(ids);
    expect(repeated(ids)).toEqual([]);
    expect((acknowledged.get(runId) ?? []).filter((id) => !logged.has(id))).toEqual([]);
    expect(outOfOrder(ids)).toEqual([]);
    // A payload that no delivery has seen yet has a message.
    const asleep = ids.length > (seen.get(runId) ?? 0) && !found.queued[runId];
    if (asleep) throw new Error(`run ${runId} has unseen payloads and no wake-up`);
  }
}

/** `{ id }` as the SDK serializes it. */
function idOf(payload: string): string {
  const [, id] = /"(\d+\.\d+\.\d+)"/.exec(payload) ?? [];
  return id ?? `no id in ${payload}`;
}

/** Ids after a later id of their lane. There must be none, because a lane waits for each resume. */
function outOfOrder(ids: string[]): string[] {
  const last = new Map<string, number>();
  return ids.filter((id) => {
    const [life, lane, n] = id.split('.');
    const before = last.get(`${life}.${lane}`) ?? -1;
    last.set(`${life}.${lane}`, Number(n));
    return Number(n) < before;
  });
}

/** Delivers every remaining message to a handler that then reads the whole log. */
async function expectAllWoken(world: World, found: Found): Promise<void> {
  const left = Object.keys(found.queued);
  const delivered = new Set<string>();
  world.createQueueHandler('__wkf_workflow_', async (message) => {
    delivered.add((message as { runId: string }).runId);
    return undefined;
  });
  await world.start?.();
  await until('every wake-up is delivered', BACK_OFF_MS, () => {
    return left.every((id) => delivered.has(id));
  });
  // A run that was resumed while its wake-up waited for a back-off has that wake-up still.
  await until('no wake-up is left', BACK_OFF_MS, async () => {
    const { due, sleeping, leased } = (await world.stats()).messages;
    return due + sleeping + leased === 0;
  });
  for (const [runId, payloads] of Object.entries(found.received)) {
    const types: string[] = [];
    for (let cursor: string | undefined, more = true; more; ) {
      const page = await world.events.list({ runId, pagination: { limit: 1000, cursor } });
      types.push(...page.data.map((event) => event.eventType));
      cursor = page.cursor ?? cursor;
      more = page.hasMore;
    }
    expect(types.filter((type) => type === 'hook_received')).toHaveLength(payloads.length);
  }
  await world.close();
}
