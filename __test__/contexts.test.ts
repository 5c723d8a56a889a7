/** Asynchronous contexts: handlers run in an empty one, and callers continue in their own. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { join } from 'node:path';
import type { World } from 'hookline';
import { createTestWorld } from 'hookline/testing';
import { cleanUp, newDatabase, newWorld, ROOT, runNode } from './support';

const LIMIT_MS = 120_000;
const USERS = ['ada', 'bob', 'eve'];

afterEach(cleanUp);

type Seen = { request: unknown; trace: unknown };
interface Report {
  steps: Record<string, Record<string, unknown>>;
  callers: Record<string, [what: string, request: unknown, trace: unknown][]>;
  entered: unknown[];
  signal: unknown;
}

async function requests(delivery: 'direct' | 'http'): Promise<Report> {
  const script = join(ROOT, '__test__/environments/requests.mjs');
  const ended = await runNode([script, newDatabase(), delivery]);
  expect(ended).toMatchObject({ code: 0, signal: null });
  return JSON.parse(ended.stdout) as Report;
}

/** The contexts that a step saw, in all its places. */
function everySight(value: unknown): Seen[] {
  if (value === null || typeof value !== 'object') return [];
  if ('request' in value) return [value as Seen];
  return Object.values(value).flatMap(everySight);
}

describe.each(['direct', 'http'] as const)(
  'by delivery %s, with all begun by a request',
  (mode) => {
    let report: Report;
    beforeAll(async () => {
      report = await requests(mode);
    }, LIMIT_MS);

    test.each(USERS)(
      'the steps of %s run in nobody’s request, and in the trace of their run',
      (user) => {
        const seen = everySight(report.steps[user]);
        expect(seen).toHaveLength(27);
        expect(new Set(seen.map(({ request }) => request))).toEqual(new Set([null]));
        expect(new Set(seen.map(({ trace }) => trace))).toEqual(new Set([user]));
      },
    );

    test.each(USERS)('%s comes back from every call in a context of their own', (user) => {
      const calls = report.callers[user] ?? [];
      expect(new Set(calls.map(([what]) => what)).size).toBe(8);
      expect(calls.filter(([, request, trace]) => request !== user || trace !== user)).toEqual([]);
    });

    test('a listener of the app for a signal runs in nobody’s request', () => {
      expect(report.signal).toBeNull();
    });

    test('the context that one delivery enters is gone in the next', () => {
      expect(report.entered).toEqual(mode === 'direct' ? [null, null, null] : []);
    });
  },
);

describe('in the realm of a test', () => {
  const requests = new AsyncLocalStorage<string>();

  /** The contexts that a handler saw, and those of the caller after each of its calls. */
  async function deliver(world: World) {
    const seen: unknown[] = [];
    const callers: unknown[] = [];
    let delivered = () => {};
    const done = new Promise<void>((resolve) => {
      delivered = resolve;
    });
    await requests.run('ada', async () => {
      world.createQueueHandler('__wkf_step_', async () => {
        seen.push(requests.getStore());
        await world.runs.list();
        seen.push(requests.getStore());
        delivered();
      });
      await world.start();
      callers.push(requests.getStore());
    });
    await requests.run('bob', async () => {
      await world.queue('__wkf_step_look', {});
      callers.push(requests.getStore());
      await done;
    });
    return { seen, callers };
  }

  test.each(['a World', 'a World for tests'])(
    'a handler of %s runs in nobody’s context',
    async (of) => {
      const world = of === 'a World' ? newWorld({ delivery: 'direct' }) : createTestWorld();
      const { seen, callers } = await deliver(world);
      await world.close();
      expect(seen).toEqual([undefined, undefined]);
      expect(callers).toEqual(['ada', 'bob']);
    },
  );
});
