/** Wrong calls, wrong configurations and failing disks, and the errors for them. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { inspect as show } from 'node:util';
import { createWorld, getHookByToken, type Hook, resumeHook, type World } from 'hookline';
import { BUILD_LIMIT_MS, buildInspector, inspect, SEED, withSeed } from './crash/harness';
import {
  cleanUp,
  devalueString,
  eventTypes,
  newDatabase,
  newFolder,
  newHook,
  newRun,
  newWorld,
  ROOT,
  runNode,
  useAsSdkWorld,
} from './support';
import * as logAndResume from './types/samples/log-and-resume';

const TOKEN = 'token-7Kq2';
const PAYLOAD = 'payload-9Zx4';
const VARIABLES = [
  ...['URL', 'DURABILITY', 'CONCURRENCY', 'ROLE', 'DELIVERY', 'BASE_URL'].map(
    (name) => `WORKFLOW_HOOKLINE_${name}`,
  ),
  'WORKFLOW_QUEUE_NAMESPACE',
];

beforeAll(buildInspector, BUILD_LIMIT_MS);
beforeEach(() => {
  for (const method of ['info', 'warn', 'error'] as const) {
    jest.spyOn(console, method).mockImplementation(() => undefined);
  }
});
afterEach(async () => {
  jest.restoreAllMocks();
  for (const variable of VARIABLES) delete process.env[variable];
  await cleanUp();
});

/** The documented handler's answer to a resume with the secrets of this file. */
async function statusOf(url: string, asked: { token?: unknown } = { token: TOKEN }) {
  process.env.WORKFLOW_HOOKLINE_URL = url;
  const body = JSON.stringify({ ...asked, data: PAYLOAD });
  return (await logAndResume.POST(new Request('http://localhost/', { method: 'POST', body })))
    .status;
}

/** Resumes with the secrets of this file; returns the error, which must hold neither of them. */
async function errorOf(url: string): Promise<Error & Record<string, unknown>> {
  process.env.WORKFLOW_HOOKLINE_URL = url;
  return caught(resumeHook(TOKEN, PAYLOAD));
}

async function caught(work: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  const error = await work.then(
    () => new Error('nothing was wrong'),
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  expectNoSecret(error);
  return error;
}

/** Checks that no part of an error that a log could show holds a token or a payload. */
function expectNoSecret(error: Error): void {
  const { token: _ownField, cause, ...fields } = error as { token?: string; cause?: unknown };
  const texts = [error.message, error.stack, String(error), show(fields, { depth: 9 })];
  if (cause instanceof Error) texts.push(cause.message, cause.stack);
  for (const text of texts) {
    expect(text).not.toContain(TOKEN);
    expect(text).not.toContain(PAYLOAD);
  }
}

/** A database with a hook whose token is secret, which the environment names. */
async function secretHook(): Promise<{ world: World; hook: Hook; url: string }> {
  const url = newDatabase();
  process.env.WORKFLOW_HOOKLINE_URL = url;
  const world = newWorld({ url });
  const hook = await newHook(world, TOKEN, { metadata: devalueString(PAYLOAD) });
  return { world, hook, url };
}

/** The events and messages of a database, before and after: a refusal adds nothing. */
async function expectNothingWritten(url: string, work: () => Promise<unknown>): Promise<void> {
  const before = inspect(url);
  await work();
  expect(inspect(url)).toEqual(before);
}

describe('a token or hook object that names no live hook', () => {
  test.each([
    ['an empty token', ''],
    ['a token of 4097 characters', 'x'.repeat(4097)],
    ['a token with half of a surrogate pair', '\ud800'],
    ['an unknown token', 'nobody'],
  ])('%s is HookNotFoundError with that token, and 404', async (_name, token) => {
    const { url } = await secretHook();
    await expectNothingWritten(url, async () => {
      const missing = { name: 'HookNotFoundError', token };
      await expect(resumeHook(token, PAYLOAD)).rejects.toMatchObject(missing);
      await expect(getHookByToken(token)).rejects.toMatchObject(missing);
      expect(await statusOf(url, { token })).toBe(404);
    });
  });

  test('a token of 65,536 characters is one, and the World refuses to create a longer one', async () => {
    const { world, hook } = await secretHook();
    const long = 'x'.repeat(65_536);
    await newHook(world, long);
    expect((await resumeHook(long, PAYLOAD)).token).toBe(long);
    const tooLong = newHook(world, `${TOKEN}${long}`, { runId: hook.runId });
    expect(await caught(tooLong)).toMatchObject({
      name: 'WorkflowWorldError',
      status: 400,
      message: expect.stringContaining('65536'),
    });
  });

  test.each([
    ['undefined', undefined],
    ['null', null],
    ['a number', 5],
    ['an array', [TOKEN]],
    ['an object without ids', { token: TOKEN }],
    ['an object with a token that is no string', { runId: 'r', hookId: 'h', token: [TOKEN] }],
  ])('%s instead of a token is a TypeError, and 500', async (_name, wrong) => {
    const { url } = await secretHook();
    await expectNothingWritten(url, async () => {
      expect(await caught(resumeHook(wrong as never, PAYLOAD))).toBeInstanceOf(TypeError);
      expect(await statusOf(url, { token: wrong })).toBe(500);
    });
  });

  test('a hook object of an unknown run is WorkflowRunNotFoundError with that run', async () => {
    const { hook, url } = await secretHook();
    const runId = 'wrun_01ARZ3NDEKTSV4RRFFQ69G5FAV';
    await expectNothingWritten(url, async () => {
      const error = await caught(resumeHook({ ...hook, runId }, PAYLOAD));
      expect(error).toMatchObject({ name: 'WorkflowRunNotFoundError', runId });
    });
  });

  test('a hook object with a forged token, id or run is HookNotFoundError with its token', async () => {
    const { world, hook, url } = await secretHook();
    const runId = await newRun(world);
    const forged = [
      { ...hook, token: 'forged' },
      { ...hook, token: '' },
      { ...hook, hookId: 'hook_forged' },
      { ...hook, runId },
    ];
    await expectNothingWritten(url, async () => {
      for (const object of forged) {
        const error = await caught(resumeHook(object, PAYLOAD));
        expect(error).toMatchObject({ name: 'HookNotFoundError', token: object.token });
      }
    });
  });
});

describe('a payload that cannot be serialized', () => {
  const hostile = () => ({
    get secret(): never {
      throw new Error('a getter of the caller');
    },
  });
  test.each<[string, object]>([
    ['a key named __proto__', JSON.parse(`{"__proto__":{"secret":"${PAYLOAD}"}}`)],
    ['a key that is a symbol', { secret: PAYLOAD, [Symbol('s')]: 1 }],
    ['a function', { secret: PAYLOAD, call: () => PAYLOAD }],
    ['a symbol', { secret: PAYLOAD, symbol: Symbol('s') }],
    ['an instance of an unknown class', { secret: PAYLOAD, own: new (class Own {})() }],
    ['a WeakMap', [PAYLOAD, new WeakMap()]],
    ['a getter that throws', hostile()],
    ['a promise', Promise.resolve(PAYLOAD)],
  ])(
    '%s is WorkflowRuntimeError without the payload, and writes nothing',
    async (_name, payload) => {
      const { url } = await secretHook();
      await expectNothingWritten(url, async () => {
        const error = await caught(resumeHook(TOKEN, payload));
        expect(error.name).toBe('WorkflowRuntimeError');
        expect(show(error, { depth: 9, showHidden: true })).not.toContain(PAYLOAD);
      });
    },
  );
});

describe('a file that is no database of this package', () => {
  test.each<[string, string, string, (path: string) => Promise<void> | void]>([
    ['a text file', 'FOREIGN_FILE', 'choose another path', (path) => writeText(path)],
    ['a directory', 'CANNOT_OPEN', 'names a file', (path) => mkdirSync(path)],
    ['another SQLite database', 'FOREIGN_FILE', 'choose another path', makeForeign],
    ['a database of a newer hookline', 'NEWER_DATABASE', 'upgrade hookline', makeNewer],
    ['a truncated database', 'CORRUPT', 'backup', makeTruncated],
  ])('%s is WorkflowWorldError %s that says "%s", and 500', async (_name, code, advice, make) => {
    const url = newDatabase();
    await make(url);
    const before = existsSync(url) && code !== 'CANNOT_OPEN' ? readFileSync(url) : undefined;
    const error = await errorOf(url);
    expect(error).toMatchObject({ name: 'WorkflowWorldError', code, status: 500 });
    expect(error.message).toContain(url);
    expect(error.message).toContain(advice);
    expect(await statusOf(url)).toBe(500);
    if (before) expect(readFileSync(url).equals(before)).toBe(true);
  });

  test('a path below a file is WorkflowWorldError CANNOT_OPEN, and 500', async () => {
    const file = newDatabase();
    writeText(file);
    const url = join(file, 'hookline.db');
    expect(await errorOf(url)).toMatchObject({
      code: 'CANNOT_OPEN',
      message: expect.stringContaining('WORKFLOW_HOOKLINE_URL'),
    });
    expect(await statusOf(url)).toBe(500);
  });

  function writeText(path: string): void {
    writeFileSync(path, 'This is a diary, and no database. '.repeat(100));
  }

  /** A real database whose header names another program. */
  async function makeForeign(path: string): Promise<void> {
    await makeOurs(path);
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.from('Blog'), 0, 4, 68);
  }

  async function makeNewer(path: string): Promise<void> {
    await makeOurs(path);
    execFileSync(buildInspector(), [
      path,
      "INSERT INTO migrations SELECT max(number) + 1, 'later', 'x', 1 FROM migrations",
    ]);
  }

  async function makeTruncated(path: string): Promise<void> {
    await makeOurs(path);
    writeFileSync(path, readFileSync(path).subarray(0, 8192));
  }
});

async function makeOurs(path: string): Promise<void> {
  const world = newWorld({ url: path });
  await newHook(world, TOKEN);
  await world.close();
}

test(
  'a database with random bytes in its middle answers or says CORRUPT, and never 404',
  withSeed(async (random) => {
    const url = newDatabase();
    const tokens = await makeLargeDatabase(url);
    const codes = new Set<unknown>();
    for (let trial = 0; trial < 12; trial += 1) {
      const damaged = newDatabase();
      copyFileSync(url, damaged);
      damage(damaged, random, trial % 2 === 0 ? 4 : 100);
      process.env.WORKFLOW_HOOKLINE_URL = damaged;
      const world = newWorld({ url: damaged });
      const reads = [world.runs.list(), world.hooks.list({}), ...tokens.map(getHookByToken)];
      const work = [...tokens.map((token) => resumeHook(token, PAYLOAD)), ...reads];
      for (const result of await Promise.allSettled(work)) {
        if (result.status === 'fulfilled') continue;
        expect(result.reason).toMatchObject({ name: 'WorkflowWorldError', status: 500 });
        expectNoSecret(result.reason);
        codes.add(result.reason.code);
      }
      await world.close();
    }
    expect([...codes]).toEqual(['CORRUPT']);
  }),
  60_000,
);

/** Some hundred pages, most of them of the log. */
async function makeLargeDatabase(url: string): Promise<string[]> {
  const world = newWorld({ url });
  useAsSdkWorld(world);
  const tokens = Array.from({ length: 20 }, (_, n) => `${TOKEN} ${n}`);
  for (const token of tokens) await newHook(world, token);
  const text = PAYLOAD.repeat(40);
  await Promise.all(
    tokens.flatMap((token) => [1, 2, 3].map((n) => resumeHook(token, { n, text }))),
  );
  await Promise.all(tokens.map((token) => resumeHook(token, text.repeat(20))));
  useAsSdkWorld(undefined);
  await world.close();
  return tokens;
}

/** Overwrites pages after the first one. */
function damage(path: string, random: () => number, pages: number): void {
  const PAGE = 4096;
  const file = openSync(path, 'r+');
  const size = Buffer.alloc(4);
  readSync(file, size, 0, 4, 28);
  const count = size.readUInt32BE();
  const garbage = Buffer.from(Array.from({ length: PAGE }, () => Math.floor(random() * 256)));
  for (let n = 0; n < pages; n += 1) {
    const page = 1 + Math.floor(random() * (count - 1));
    writeSync(file, garbage, 0, PAGE, page * PAGE);
  }
}

describe('a disk', () => {
  const mounts =
    spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs none /mnt && touch /mnt/x']).status ===
    0;
  const isRoot = process.getuid?.() === 0;
  const onMount = mounts ? test : test.skip;
  const why = mounts ? '' : ' (cannot run here: no mount namespace may be made)';

  interface Answer {
    status: number;
    error?: { name: string; code: string; status: number; message: string; leaks: string[] };
  }

  /** Runs a script of `bad-input/` on a small file system of its own. */
  async function onDisk<T>(script: string, size: string, ...args: string[]): Promise<T> {
    const disk = newFolder();
    const path = join(ROOT, '__test__', 'bad-input', `${script}.mjs`);
    const command = `mount -t tmpfs -o size=${size} none "$0" && exec "$@"`;
    const inside = [process.execPath, path, disk, ...args];
    const output = execFileSync('unshare', ['-rm', 'sh', '-c', command, disk, ...inside], {
      cwd: ROOT,
      encoding: 'utf8',
      timeout: 60_000,
    });
    return JSON.parse(output) as T;
  }

  function refused(code: unknown, advice: string): object {
    const message = expect.stringContaining(advice);
    const error = { name: 'WorkflowWorldError', code, message, isError: true, leaks: [] };
    return { status: 500, error: expect.objectContaining(error) };
  }

  onMount(
    `that is full refuses with STORAGE_FULL, writes nothing by halves and goes on when it has space${why}`,
    async () => {
      const kept = newFolder();
      const report = await onDisk<Record<string, Answer> & { together: Answer[] }>(
        ...(['full-disk', '6m', kept] as const),
      );
      const full = refused('STORAGE_FULL', 'free some space');
      expect(report.refused).toEqual(full);
      expect(report.refused?.error?.status).toBe(507);
      for (const answer of report.together) {
        if (answer.status !== 200) expect(answer).toEqual(full);
      }
      expect(report.stream).toMatchObject({ ok: false, error: { code: 'STORAGE_FULL' } });
      expect(report.opening).toMatchObject({ ok: false, error: { code: 'STORAGE_FULL' } });
      expect(report.read).toBe(true);
      expect([report.after, report.reopened]).toEqual([{ status: 200 }, { status: 200 }]);
      expect([report.streamAfter, report.openingAfter]).toEqual([{ ok: true }, { ok: true }]);
      const acknowledged = report.acknowledged as unknown as string[];
      expectWhole(join(kept, 'full'), without(acknowledged, 'after', 'reopened'));
      expectWhole(join(kept, 'after'), without(acknowledged, 'reopened'));
      expectWhole(join(kept, 'reopened'), acknowledged);
    },
    90_000,
  );

  function without(ids: string[], ...later: string[]): string[] {
    return ids.filter((id) => !later.includes(id));
  }

  /**
   * Checks that exactly the acknowledged resumes are stored, and that each of their runs has its
   * wake-up.
   */
  function expectWhole(database: string, acknowledged: string[]): void {
    const found = inspect(database);
    expect([found.integrity, found.gaps]).toEqual([['ok'], []]);
    const logged = Object.values(found.received).flat();
    const ids = logged.map((payload) => /"id":1.*?"([\w.]+)",/.exec(payload)?.[1] ?? payload);
    expect(ids.sort()).toEqual([...acknowledged].sort());
    expect(Object.keys(found.queued).sort()).toEqual(Object.keys(found.received).sort());
  }

  onMount(
    `that may not be written is READ_ONLY or CANNOT_OPEN with advice, and usable when it may${why}`,
    async () => {
      const report = await onDisk<Record<string, Answer>>('read-only', '6m');
      for (const name of ['fresh', 'folder']) {
        expect(report[name]).toEqual(refused('READ_ONLY', 'that this process may write'));
      }
      const either = expect.stringMatching(/^(READ_ONLY|CANNOT_OPEN)$/);
      expect(report.existing).toEqual(refused(either, 'folder that'));
      expect(report.reader).toEqual({ ok: true });
      expect(report.writable).toEqual({ status: 200 });
    },
    60_000,
  );

  (isRoot ? test.skip : test)(
    `whose folder this user may not write is READ_ONLY with advice${isRoot ? ' (cannot run as root)' : ''}`,
    async () => {
      const folder = newFolder();
      chmodSync(folder, 0o555);
      const error = await errorOf(join(folder, 'hookline.db'));
      expect(error).toMatchObject({ name: 'WorkflowWorldError', code: 'READ_ONLY', status: 500 });
      chmodSync(folder, 0o755);
    },
  );
});

describe('a malformed setting', () => {
  test.each([
    ['WORKFLOW_HOOKLINE_URL', `mysql://user:${PAYLOAD}@host/db`],
    ['WORKFLOW_HOOKLINE_URL', `postgres://user:${PAYLOAD}@host/db?sslmode=maybe`],
    ['WORKFLOW_HOOKLINE_URL', 'file:%zz'],
    ['WORKFLOW_HOOKLINE_URL', 'file://another-host/hookline.db'],
    ['WORKFLOW_HOOKLINE_URL', 'a\0b'],
    ['WORKFLOW_HOOKLINE_DURABILITY', 'ful'],
    ['WORKFLOW_HOOKLINE_CONCURRENCY', '0'],
    ['WORKFLOW_HOOKLINE_CONCURRENCY', '1.5'],
    ['WORKFLOW_HOOKLINE_CONCURRENCY', 'many'],
    ['WORKFLOW_HOOKLINE_CONCURRENCY', '10001'],
    ['WORKFLOW_HOOKLINE_ROLE', 'boss'],
    ['WORKFLOW_HOOKLINE_DELIVERY', 'pigeon'],
    ['WORKFLOW_HOOKLINE_BASE_URL', 'localhost'],
    ['WORKFLOW_HOOKLINE_BASE_URL', `ftp://user:${PAYLOAD}@host`],
    ['WORKFLOW_QUEUE_NAMESPACE', 'Mine!'],
  ])('%s=%j is BAD_CONFIG at the first operation, naming the variable', async (name, value) => {
    // Not through the environment, which cannot hold every text.
    const option = OPTIONS[name];
    if (!option) process.env[name] = value;
    const world = createWorld({ url: newDatabase(), ...(option && { [option]: value }) });
    const bad = { name: 'WorkflowWorldError', code: 'BAD_CONFIG', status: 500 };
    for (const operation of [() => world.runs.list(), () => world.start?.()]) {
      const error = await caught(Promise.resolve(operation()));
      expect(error).toMatchObject(bad);
      expect(error.message).toContain(name);
      expect(error.message).toContain('must be');
    }
    await world.close();
  });

  test('in the environment answers 500, and is an error again until it is mended', async () => {
    const url = newDatabase();
    await makeOurs(url);
    process.env.WORKFLOW_HOOKLINE_DURABILITY = 'ful';
    expect(await statusOf(url)).toBe(500);
    expect(await errorOf(url)).toMatchObject({ code: 'BAD_CONFIG' });
  });

  test('WORKFLOW_HOOKLINE_DEPLOYMENT_ID and WORKFLOW_MAX_EVENTS may be anything', async () => {
    process.env.WORKFLOW_MAX_EVENTS = 'many';
    try {
      expect(await newWorld().getDeploymentId()).toBe('dpl_hookline');
      await newRun(newWorld());
    } finally {
      delete process.env.WORKFLOW_MAX_EVENTS;
    }
  });

  const OPTIONS: Record<string, string> = {
    WORKFLOW_HOOKLINE_URL: 'url',
    WORKFLOW_HOOKLINE_DURABILITY: 'durability',
    WORKFLOW_HOOKLINE_CONCURRENCY: 'concurrency',
    WORKFLOW_HOOKLINE_ROLE: 'role',
    WORKFLOW_HOOKLINE_DELIVERY: 'delivery',
    WORKFLOW_HOOKLINE_BASE_URL: 'baseUrl',
  };
});

describe('a malformed call of a World method', () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;

  /** Inputs that are refused with status 400, so that the runtime does not retry. */
  const INVALID: [string, (world: World, runId: string) => Promise<unknown>][] = [
    ['an event of no known type', event({ eventType: 'run_dreamt' })],
    ['an event without a type', event({})],
    ['a hook_created without a token', event({ eventType: 'hook_created', correlationId: 'h' })],
    [
      'a hook_created without an id',
      event({ eventType: 'hook_created', eventData: { token: 't' } }),
    ],
    ['a token that is no text', hookCreated({ token: 7 })],
    ['an isWebhook that is no boolean', hookCreated({ token: 't', isWebhook: PAYLOAD })],
    ['event data that is a text', hookCreated(PAYLOAD)],
    ['event data that is a list', hookCreated([PAYLOAD])],
    ['a spec version that is no number', event({ eventType: 'run_completed', specVersion: 'x' })],
    ['a hook_conflict from outside', event({ eventType: 'hook_conflict', correlationId: 'h' })],
    ['a step without a name', event({ eventType: 'step_created', correlationId: 's' })],
    ['a wait without a time', event({ eventType: 'wait_created', correlationId: 'w' })],
    ['a queue name of nobody', (world) => world.queue('nobody' as never, {} as never)],
    ['a queue name that is no text', (world) => world.queue({} as never, {} as never)],
    ['a message that is no value', (world) => world.queue(FLOW, undefined as never)],
    ['a negative delay', (world) => world.queue(FLOW, {} as never, { delaySeconds: -1 })],
    [
      'an idempotency key that is no text',
      (world) => world.queue(FLOW, {} as never, { idempotencyKey: 5 as never }),
    ],
    ['a chunk that is no bytes', (world, runId) => world.writeToStream('s', runId, 5 as never)],
    ['a stream without a name', (world, runId) => world.writeToStream('', runId, 'x')],
    ['a run id that is no text', (world) => world.writeToStream('s', 5 as never, 'x')],
    ['a start that is no integer', (world) => world.readFromStream('s', 1.5)],
    ['a limit of 0', (world) => world.runs.list({ pagination: { limit: 0 } })],
    ['a limit above 1000', (world) => world.runs.list({ pagination: { limit: 1001 } })],
    ['a status of no run', (world) => world.runs.list({ status: 'dreaming' as never })],
    ['a stream cursor of nobody', (world, id) => world.getStreamChunks('s', id, { cursor: 'x' })],
    ['a stream limit that is no number', (world, id) => chunks(world, id, { limit: 'x' })],
    ['a list of events without a run', (world) => world.events.list({ runId: '' })],
  ];

  test.each(INVALID)('%s is WorkflowWorldError with status 400', async (_name, call) => {
    const world = newWorld();
    const runId = await newRun(world);
    const error = await caught(call(world, runId));
    expect(error).toMatchObject({ name: 'WorkflowWorldError', code: 'INVALID', status: 400 });
    expect(await eventTypes(world, runId)).toEqual(['run_created', 'run_started']);
  });

  test.each<[string, (world: World, runId: string) => Promise<unknown>]>([
    ['a bigint in an event', stepCreated(10n)],
    ['a cycle in an event', stepCreated(cycle)],
    ['a cycle in a message', (world) => world.queue(FLOW, cycle as never)],
    ['a list of chunks that is none', (world, runId) => many(world, runId, null)],
  ])('%s is an error, and nothing is written', async (_name, call) => {
    const world = newWorld();
    const runId = await newRun(world);
    await caught(call(world, runId));
    expect(await eventTypes(world, runId)).toEqual(['run_created', 'run_started']);
  });

  test('a handler that is no function is an error of this realm', async () => {
    const world = newWorld();
    await world.runs.list();
    const register = world.createQueueHandler as (...args: unknown[]) => unknown;
    for (const args of [
      [null, null],
      [5, async () => undefined],
      ['__wkf_workflow_', 'x'],
    ]) {
      expect(() => register(...args)).toThrow(Error);
    }
  });

  const FLOW = '__wkf_workflow_w';

  function event(request: object) {
    return (world: World, runId: string) =>
      world.events.create(runId, { specVersion: 3, ...request } as never);
  }

  function hookCreated(eventData: unknown) {
    return event({ eventType: 'hook_created', correlationId: 'hook_x', eventData });
  }

  function stepCreated(input: unknown) {
    const eventData = { stepName: 's', input };
    return event({ eventType: 'step_created', correlationId: 'step_x', eventData });
  }

  function chunks(world: World, runId: string, options: unknown) {
    return world.getStreamChunks('s', runId, options as never);
  }

  async function many(world: World, runId: string, list: unknown) {
    await world.writeToStreamMulti?.('s', runId, list as never);
  }
});

test('thousands of random requests into every method get answers or errors, and the process survives', async () => {
  const folder = newFolder();
  const script = join(ROOT, '__test__', 'bad-input', 'fuzz.mjs');
  const ended = await runNode([script, String(SEED), '150', folder], { cwd: folder });
  expect({ seed: SEED, ...ended }).toMatchObject({ code: 0, stderr: '' });
  const { status, tally, wrong } = JSON.parse(ended.stdout) as {
    status: number;
    tally: Record<string, number>;
    wrong: string[];
  };
  expect({ seed: SEED, wrong: [...new Set(wrong)] }).toEqual({ seed: SEED, wrong: [] });
  expect(Object.values(tally).reduce((sum, n) => sum + n)).toBeGreaterThan(4000);
  expect(status).toBe(200);
  expect(inspect(join(folder, 'hookline.db'))).toMatchObject({ integrity: ['ok'], gaps: [] });
}, 120_000);
