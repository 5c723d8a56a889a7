/** Threads, realms and Worlds that come and go within one process. */
import { join } from 'node:path';
import { type Hook, resumeHook } from 'hookline';
import {
  BUILD_LIMIT_MS,
  buildInspector,
  inspect,
  pause,
  repeated,
  SEED,
  until,
} from './crash/harness';
import {
  cleanUp,
  eventTypes,
  newDatabase,
  newFolder,
  newHook,
  newWorld,
  ROOT,
  runNode,
  useAsSdkWorld,
} from './support';

const LIMIT_MS = 90_000;

beforeAll(buildInspector, BUILD_LIMIT_MS);
afterEach(async () => {
  useAsSdkWorld(undefined);
  await cleanUp();
});

/** Runs a script of `environments/` that prints JSON; it must end by itself, with code 0. */
async function run<T>(script: string, args: string[], flags: string[] = []): Promise<T> {
  const ended = await runNode([
    ...flags,
    join(ROOT, '__test__', 'environments', `${script}.mjs`),
    ...args,
  ]);
  expect({ seed: SEED, ...ended }).toMatchObject({ code: 0, signal: null, stderr: '' });
  return JSON.parse(ended.stdout) as T;
}

test(
  'threads that are terminated in the middle of everything lose no acknowledged resume, nor their deliveries',
  async () => {
    const folder = newFolder();
    const report = await run<{ acknowledged: string[]; deliveries: number; seen: number }>(
      'terminate',
      [String(SEED), folder],
    );
    expect(report.deliveries).toBeGreaterThan(0);
    expect(report.seen).toBe(4);
    const found = inspect(join(folder, 'hookline.db'));
    expect([found.integrity, found.gaps, found.messages]).toEqual([['ok'], [], 0]);
    const ids = Object.values(found.received)
      .flat()
      .map((payload) => /"((?:main|\d)[\d.]+)"/.exec(payload)?.[1]);
    const logged = new Set(ids);
    expect(repeated(ids as string[])).toEqual([]);
    expect(report.acknowledged.length).toBeGreaterThan(100);
    expect(report.acknowledged.filter((id) => !logged.has(id))).toEqual([]);
  },
  LIMIT_MS,
);

test(
  'eight threads on one database each see their own resumes, and end by themselves',
  async () => {
    const folder = newFolder();
    const report = await run<{ results: unknown[]; same: boolean }>('parallel', [folder]);
    expect(report.results).toEqual(Array.from({ length: 8 }, () => [true, 'HookNotFoundError']));
    expect(report.same).toBe(true);
    const payloads = Object.values(inspect(join(folder, 'hookline.db')).received).flat();
    expect(repeated(payloads)).toEqual([]);
    expect(payloads).toHaveLength(801);
  },
  LIMIT_MS,
);

test(
  'a thread that delivered and is terminated leaves the deliveries to the others of its process',
  async () => {
    const { deliveries } = await run<{ deliveries: number }>('succeed', [newFolder()]);
    expect(deliveries).toBe(1);
  },
  LIMIT_MS,
);

test(
  'two realms at once each get entities and errors of their own',
  async () => {
    const { report, received } = await run<{ report: unknown[]; received: number }>('contexts', [
      newFolder(),
    ]);
    expect(report).toEqual(
      Array.from({ length: 10 }, () => [true, true, 'HookNotFoundError', 'CLOSED']),
    );
    expect(received).toBe(10);
  },
  LIMIT_MS,
);

test.each([
  ['exit', 0],
  ['exit soon', 0],
  ['exit while closing', 0],
  ['exit in a thread', 0],
  ['close', 0],
  ['throw', 1],
])(
  'a process that ends by "%s" with operations under way has its own exit code %i',
  async (way, code) => {
    const folder = newFolder();
    for (let n = 0; n < 3; n += 1) {
      const script = join(ROOT, '__test__', 'environments', 'exit.mjs');
      const ended = await runNode([script, way, join(folder, `${n}`)]);
      expect(ended).toMatchObject({ code, signal: null });
      expect(ended.ms).toBeLessThan(15_000);
      if (code === 0) expect(ended.stderr).toBe('');
      expect(inspect(join(folder, `${n}`, 'hookline.db')).integrity).toEqual(['ok']);
    }
  },
  LIMIT_MS,
);

test(
  'a World that nobody holds any more releases its database; one that delivers does not',
  async () => {
    const report = await run('collect', [newFolder()], ['--expose-gc']);
    expect(report).toEqual({ opened: true, released: true, keptOpen: true, startedStays: true });
  },
  LIMIT_MS,
);

describe('close', () => {
  const CLOSED = { name: 'WorkflowWorldError', code: 'CLOSED', status: 503 };

  test('settles what is under way: done and in the log, or refused and not', async () => {
    const url = newDatabase();
    const world = newWorld({ url });
    const { runId } = await newHook(world, 'token');
    useAsSdkWorld(world);
    const tail = (await world.readFromStream('nobody')).getReader().read();
    await pause(20);
    const resumes = Array.from({ length: 200 }, (_, n) => resumeHook('token', n));
    const reads = [world.runs.list(), world.hooks.list({}), world.events.list({ runId }), tail];
    const closing = Promise.all([world.close(), world.close()]);
    const settled = await Promise.allSettled([...resumes, ...reads]);
    await closing;
    await world.close();
    for (const result of settled) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject(CLOSED);
    }
    const done = settled.slice(0, 200).filter((result) => result.status === 'fulfilled').length;
    const types = await eventTypes(newWorld({ url }), runId);
    expect(types.filter((type) => type === 'hook_received')).toHaveLength(done);
  });

  test('is final: every later use is CLOSED with a status that the runtime retries', async () => {
    const world = newWorld();
    const { runId, hookId } = await newHook(world, 'token');
    useAsSdkWorld(world);
    await world.close();
    const uses: Promise<unknown>[] = [
      resumeHook('token', 1),
      world.runs.get(runId),
      world.runs.list(),
      world.steps.list({ runId }),
      world.events.list({ runId }),
      world.events.create(runId, { eventType: 'run_completed', specVersion: 3 }),
      world.hooks.get(hookId),
      world.hooks.getByToken('token'),
      world.queue('__wkf_workflow_w', { runId } as never),
      world.writeToStream('s', runId, 'x'),
      world.closeStream('s', runId),
      world.readFromStream('s'),
      world.getStreamInfo('s', runId),
      world.start?.() as Promise<void>,
    ];
    for (const result of await Promise.allSettled(uses)) {
      expect(result).toEqual({ status: 'rejected', reason: expect.objectContaining(CLOSED) });
    }
  });

  test('waits for a delivery under way, which is then not delivered again', async () => {
    const url = newDatabase();
    const world = newWorld({ url });
    useAsSdkWorld(world);
    await newHook(world, 'token');
    let begun = 0;
    let ended = 0;
    world.createQueueHandler('__wkf_workflow_', async () => {
      begun += 1;
      await pause(200);
      ended += 1;
      return undefined;
    });
    await world.start?.();
    await resumeHook('token', 1);
    await until('the delivery begins', 5000, () => begun === 1);
    await world.close();
    expect([begun, ended, inspect(url).messages]).toEqual([1, 1, 0]);
  });

  test('of one World leaves the others on its database alone', async () => {
    const url = newDatabase();
    const [one, other] = [newWorld({ url }), newWorld({ url })];
    await newHook(one, 'token');
    useAsSdkWorld(other);
    const resumes = Array.from({ length: 50 }, (_, n) => resumeHook('token', n));
    await one.close();
    const hooks: Hook[] = await Promise.all(resumes);
    expect(hooks).toHaveLength(50);
  });

  test('of one World that delivered leaves the deliveries to the others', async () => {
    const url = newDatabase();
    const [one, other] = [newWorld({ url }), newWorld({ url })];
    await newHook(one, 'token');
    useAsSdkWorld(one);
    let deliveries = 0;
    for (const world of [one, other]) {
      world.createQueueHandler('__wkf_workflow_', async () => {
        deliveries += 1;
        return undefined;
      });
      await world.start?.();
    }
    await other.close();
    await resumeHook('token', 1);
    await until('a delivery to the World that is left', 5000, () => deliveries === 1);
  });

  test('of one World ends the reads of its own streams, though others use the database', async () => {
    const url = newDatabase();
    const [one, other] = [newWorld({ url }), newWorld({ url })];
    await other.runs.list();
    const read = (await one.readFromStream('nobody')).getReader().read();
    const settled = read.catch((error) => error);
    await one.close();
    expect(await Promise.race([settled, pause(2000)])).toMatchObject(CLOSED);
  });

  test('while the database is being opened ends in peace, and so does a second opening', async () => {
    const url = newDatabase();
    for (let n = 0; n < 20; n += 1) {
      const world = newWorld({ url });
      const opening = world.runs.list();
      const closing = world.close();
      await opening.catch((error) => expect(error).toMatchObject(CLOSED));
      await closing;
    }
    await newWorld({ url }).runs.list();
  });
});
