/** `createWorld()` accepts any argument; the first operation rejects for a bad one. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createWorld, resumeHook, type World } from 'hookline';
import { SEED, withSeed } from './crash/harness';
import { cleanUp, newDatabase, newFolder, newRun, newWorld, useAsSdkWorld } from './support';

const SECRET = 'secret-8Hq3';

afterEach(async () => {
  useAsSdkWorld(undefined);
  await cleanUp();
});

type Options = Parameters<typeof createWorld>[0];
const made = (options: unknown): World => createWorld(options as Options);

async function errorOf(work: Promise<unknown>) {
  const error = await work.then(
    () => undefined,
    (reason) => reason,
  );
  expect(JSON.stringify([error?.message, error?.stack, error?.cause])).not.toContain(SECRET);
  return error as Error & { code?: string; status?: number };
}

/** Every kind of first operation. */
const OPERATIONS: Record<string, (world: World) => Promise<unknown>> = {
  start: (world) => world.start(),
  'runs.list': (world) => world.runs.list(),
  'events.create': (world) => world.events.create('r', { eventType: 'run_cancelled' }),
  queue: (world) => world.queue('__wkf_step_x', {}),
  writeToStream: (world) => world.writeToStream('s', 'r', 'text'),
  stats: (world) => world.stats(),
  getEncryptionKeyForRun: (world) => world.getEncryptionKeyForRun('r'),
  resumeHook: (world) => {
    useAsSdkWorld(world);
    return resumeHook('token', 1);
  },
};

async function expectBad(options: unknown, message: RegExp | string): Promise<void> {
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    const world = made(options);
    const error = await errorOf(operation(world));
    expect({ name, error }).toMatchObject({
      name,
      error: { name: 'WorkflowWorldError', code: 'BAD_CONFIG', status: 500 },
    });
    expect(error.message).toMatch(message);
    await world.close();
  }
}

const throwing = () => {
  throw new Error(SECRET);
};
const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};

describe('an option that is none is BAD_CONFIG, naming the option and what it must be', () => {
  const wrong: [string, unknown, RegExp][] = [
    ['url', {}, /"url" .* is an object, but must be a string/],
    ['url', 42, /"url" .* is a number/],
    ['url', Symbol(SECRET), /"url" .* is a symbol/],
    ['url', () => SECRET, /"url" .* is a function/],
    ['url', 'a\ud800', /"url" .* half of a surrogate pair/],
    ['durability', ['full'], /"durability" .* is an array, but must be 'full' or 'normal'/],
    ['concurrency', Number.NaN, /"concurrency" .* is NaN, but must be a number from 1 to 10000/],
    ['concurrency', Number.POSITIVE_INFINITY, /"concurrency" .* is Infinity/],
    ['concurrency', 1.5, /"concurrency" .* is a number/],
    ['concurrency', 5n, /"concurrency" .* is a bigint/],
    ['role', true, /"role" .* is a boolean/],
    ['delivery', {}, /"delivery" .* is an object/],
    ['baseUrl', 3000, /"baseUrl" .* is a number/],
    [
      'encryptionKeys',
      42,
      /"encryptionKeys" .* is a number, but must be a string id:base64, or a list/,
    ],
    ['encryptionKeys', [SECRET, 42], /"encryptionKeys" .* is an array/],
    ['encryptionKeys', { [SECRET]: SECRET }, /"encryptionKeys" .* is an object/],
    ['encryptionKeys', [[SECRET]], /"encryptionKeys" .* is an array/],
    [
      'encryptionKeys',
      new Proxy([SECRET], { get: throwing }),
      /"encryptionKeys" .* cannot be read/,
    ],
    ['tokens', 1, /"tokens" .* is a number/],
    ['traceTokens', 1, /"traceTokens" .* is a number, but must be true or false/],
    ['streamFlushIntervalMs', -1, /"streamFlushIntervalMs" .* is a number/],
    ['streamFlushIntervalMs', '5', /"streamFlushIntervalMs" .* is a string/],
    ['streamFlushIntervalMs', Number.NaN, /"streamFlushIntervalMs" .* is NaN/],
    ['baseURL', 'http://x', /no option "baseURL"; it has url, .*, baseUrl/],
    ['constructor', 'x', /no option "constructor"/],
  ];
  // By index: Jest would read a value to print it.
  test.each(wrong.map(([name], index) => [index, name] as const))('%i: %s', (index) => {
    const [name, value, message] = wrong[index] as (typeof wrong)[number];
    return expectBad({ url: newDatabase(), [name]: value }, message);
  });

  test.each<[string, unknown, RegExp]>([
    ['a text', SECRET, /takes an object of options, not a string/],
    ['an array', [SECRET], /takes an object of options, not an array/],
    ['a number', 42, /not a number/],
    ['a function', () => SECRET, /not a function/],
    ['a revoked proxy', revoked(), /cannot be read/],
    ['a proxy that throws', new Proxy({ url: 'x' }, { ownKeys: throwing }), /cannot be read/],
    [
      'a getter that throws',
      Object.defineProperty({}, 'url', { get: throwing, enumerable: true }),
      /"url" .* cannot be read/,
    ],
    [
      'an inherited getter that throws',
      Object.create(Object.defineProperty({}, 'tokens', { get: throwing })),
      /"tokens" .* cannot be read/,
    ],
    ['a wrong option that is inherited', Object.create({ role: true }), /"role" .* is a boolean/],
  ])('instead of options: %s', (_name, options, message) => expectBad(options, message));
});

test.each([[undefined], [null], [{}], [{ url: undefined, baseURL: undefined, role: null }]])(
  '%p is no option at all',
  async (options) => {
    process.env.WORKFLOW_HOOKLINE_URL = newDatabase();
    const world = made(options);
    expect((await world.runs.list()).data).toEqual([]);
    await world.close();
    delete process.env.WORKFLOW_HOOKLINE_URL;
  },
);

test('what a variable would hold is an option too', async () => {
  const text = { concurrency: '5', traceTokens: 'false' } as never;
  const world = newWorld(text);
  expect((await world.runs.list()).data).toEqual([]);
});

test('options are read once: what becomes of the object later changes nothing', async () => {
  const url = newDatabase();
  const options = { url };
  const world = made(options);
  options.url = join(newFolder(), 'another.db');
  await newRun(world);
  await world.close();
  expect([existsSync(url), existsSync(options.url)]).toEqual([true, false]);
});

test('options may be inherited, or getters of a class', async () => {
  const [inherited, got] = [newDatabase(), newDatabase()];
  class Settings {
    get url() {
      return got;
    }
  }
  for (const options of [Object.create({ url: inherited }), new Settings()]) {
    const world = made(options);
    await newRun(world);
    await world.close();
  }
  expect([existsSync(inherited), existsSync(got)]).toEqual([true, true]);
});

test('a World with bad options leaves the others of its process alone', async () => {
  const bad = made({ url: {} });
  const world = newWorld({ delivery: 'direct' });
  await world.runs.list();
  bad.createQueueHandler('__wkf_step_', async () => undefined);
  const taken = new Promise((resolve) => {
    world.createQueueHandler('__wkf_step_', async (message) => resolve(message));
  });
  await world.start();
  await world.queue('__wkf_step_x', { n: 1 });
  expect(await taken).toEqual({ n: 1 });
  await bad.close();
});

test(
  'of a thousand random options none makes createWorld() throw or touch a file, and each World works or says BAD_CONFIG',
  withSeed(async (random) => {
    const folder = newFolder();
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
    const names = ['url', 'durability', 'concurrency', 'role', 'delivery', 'baseUrl', 'tokens'];
    const all = [...names, 'encryptionKeys', 'traceTokens', 'streamFlushIntervalMs', 'typo', ''];
    const values = () =>
      pick([
        ...[undefined, null, 0, -0, -1, 1, 1e308, Number.NaN, true, false, 5n, Symbol('s'), {}, []],
        ...['', 'word', '\ud800', '\0', 'full', 'reader', 'direct', ':memory:', '🙂', 'http://a'],
        ...[[SECRET], [1], [[]], new Date(Number.NaN), /x/, new Map(), throwing, revoked()],
        ...[new Proxy([], { get: throwing }), Object.create(null), new Uint8Array(3), globalThis],
      ]);
    for (let round = 0; round < 1000; round += 1) {
      const properties: PropertyDescriptorMap = {};
      for (let n = 0; n <= random() * 3; n += 1) {
        const given = random() < 0.2 ? { get: throwing } : { value: values() };
        properties[pick(all)] = { ...given, enumerable: true };
      }
      // Any string would be a path, and a usable path would be made. Without a `url` the default
      // path of the user would be used.
      const { url } = properties;
      if (url && (typeof url.value === 'string' || (!url.get && url.value == null))) {
        delete properties.url;
      }
      const at = (url: string) =>
        made(Object.defineProperties({}, { url: { value: url, enumerable: true }, ...properties }));
      at(join(folder, `${round}.db`));
      const world = at(':memory:');
      const error = await errorOf(world.runs.list());
      if (error) expect({ SEED, round, code: error.code }).toMatchObject({ code: 'BAD_CONFIG' });
      await world.close();
    }
    expect(readdirSync(folder)).toEqual([]);
  }),
  60_000,
);

test('null instead of the options of a World’s method is none, and what is none of them is INVALID', async () => {
  const world = newWorld() as unknown as Record<
    string,
    (...args: unknown[]) => Promise<unknown>
  > & {
    runs: Record<string, (...args: unknown[]) => Promise<unknown>>;
    hooks: Record<string, (...args: unknown[]) => Promise<unknown>>;
  };
  const runId = await newRun(newWorld());
  const calls: ((options: unknown) => Promise<unknown> | undefined)[] = [
    (options) => world.runs.list?.(options && { pagination: options }),
    (options) => world.hooks.list?.(options && { pagination: options }),
    (options) => world.getStreamChunks?.('s', runId, options),
    (options) => world.deadMessages?.(options && { pagination: options }),
    (options) => world.queue?.('__wkf_step_x', {}, options && { delaySeconds: 5n }),
  ];
  for (const call of calls) {
    await call(null);
    const error = await errorOf(call({ limit: 5n }) as Promise<unknown>);
    expect({ call: String(call), error }).toMatchObject({
      error: { code: 'INVALID', status: 400 },
    });
  }
});

describe('a stream chunk that is no text and no bytes is refused, and nothing is written', () => {
  const detached = () => {
    const bytes = new Uint8Array(3);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    return bytes;
  };
  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a number', 5],
    ['a list of numbers', [1, 2]],
    ['a buffer without a view', new ArrayBuffer(2)],
    ['an object', { length: 1, 0: 1 }],
    ['what says that it is bytes', Object.create(Uint8Array.prototype)],
    ['a proxy of bytes', new Proxy(new Uint8Array(2), {})],
    ['bytes that were transferred', detached()],
  ])('%s', async (_name, chunk) => {
    const world = newWorld();
    const runId = await newRun(world);
    const holes = [chunk, 'last'];
    if (chunk === undefined) delete holes[0];
    for (const write of [
      () => world.writeToStream('s', runId, chunk as never),
      () => world.writeToStreamMulti('s', runId, ['first', chunk as never]),
      () => world.writeToStreamMulti('s', runId, holes as never),
      () => world.writeToStreamMulti('s', runId, { 0: 'first', length: 1 } as never),
    ]) {
      expect(await errorOf(write())).toMatchObject({ code: 'INVALID', status: 400 });
    }
    expect(await world.listStreamsByRunId(runId)).toEqual([]);
  });
});
