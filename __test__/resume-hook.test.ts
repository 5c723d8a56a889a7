import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { getHookByToken, type Hook, HookNotFoundError, resumeHook, type World } from 'hookline';
import {
  devalueString,
  eventTypes,
  newFolder,
  newHook,
  newRun,
  ROOT,
  readAll,
  useAsSdkWorld,
  worldPerTest,
} from './support';

/** The SDK's serializer, to read back what was written. */
const sdk = createRequire(__filename)(join(ROOT, 'dist', 'sdk-4.js'));

let world: World;
let url: string;

worldPerTest((made) => {
  ({ world, url } = made);
});

/** The payloads that a run's hooks have received, as values. */
async function received(runId: string): Promise<unknown[]> {
  const { data } = await world.events.list({ runId, pagination: { limit: 1000 } });
  const payloads = data.flatMap((event) =>
    event.eventType === 'hook_received' ? [event.eventData.payload] : [],
  );
  return Promise.all(
    payloads.map((payload) => sdk.hydrateStepArguments(payload, runId, undefined)),
  );
}

test('a resume appends one hook_received with the payload, and resolves to the hook', async () => {
  const created = await newHook(world, 'token', { isWebhook: false });
  const hook = await resumeHook('token', { approved: true, at: new Date(5) });
  expect(hook).toEqual(created);
  expect(hook.createdAt).toBeInstanceOf(Date);
  expect(await received(hook.runId)).toEqual([{ approved: true, at: new Date(5) }]);
  const { data } = await world.events.list({ runId: hook.runId });
  expect(data.at(-1)).toMatchObject({
    eventType: 'hook_received',
    correlationId: hook.hookId,
    specVersion: 3,
    eventData: { token: 'token' },
  });
});

test('a hook has all its fields, and its metadata as a value', async () => {
  const { runId, hookId } = await newHook(world, 'token', { metadata: devalueString('for you') });
  const expected = {
    runId,
    hookId,
    token: 'token',
    ownerId: expect.any(String),
    projectId: expect.any(String),
    environment: expect.any(String),
    metadata: 'for you',
    createdAt: expect.any(Date),
    specVersion: 3,
    isWebhook: expect.any(Boolean),
  };
  expect(await getHookByToken('token')).toStrictEqual(expected);
  expect(await resumeHook('token', 1)).toStrictEqual(expected);
});

test('a hook without metadata has no such key', async () => {
  await newHook(world, 'token');
  expect(await getHookByToken('token')).not.toHaveProperty('metadata');
});

test('a hook is a new object each time, and its metadata is hydrated once', async () => {
  await newHook(world, 'token', { metadata: devalueString('m') });
  const [a, b] = [await getHookByToken('token'), await getHookByToken('token')];
  expect(a).not.toBe(b);
  expect([a.metadata, b.metadata]).toEqual(['m', 'm']);
});

test('a resume by hook object resolves to that very object', async () => {
  await newHook(world, 'token', { metadata: devalueString('m') });
  const hook = await getHookByToken('token');
  expect(await resumeHook(hook, 'again')).toBe(hook);
  expect(hook.metadata).toBe('m');
  expect(await received(hook.runId)).toEqual(['again']);
});

test('a hook may be resumed many times, and keeps the order', async () => {
  const { runId } = await newHook(world, 'token');
  for (let n = 0; n < 5; n += 1) await resumeHook('token', n + 1);
  expect(await received(runId)).toEqual([1, 2, 3, 4, 5]);
});

test.each([
  ['a string', 'text'],
  ['false', false],
  ['zero', 0],
  ['null', null],
  ['undefined', undefined],
  ['an empty object', {}],
])('a payload of %s is received as it is', async (_what, payload) => {
  const { runId } = await newHook(world, 'token');
  await resumeHook('token', payload as never);
  expect(await received(runId)).toEqual([payload]);
});

test('a token that names no hook rejects with HookNotFoundError carrying the token', async () => {
  await newHook(world, 'token');
  for (const token of ['nobody', 'Token', 'token ', '', 'x'.repeat(5000), 'lone \ud800']) {
    const error = await resumeHook(token, {}).catch((e) => e);
    expect(error instanceof Error && error.name === 'HookNotFoundError').toBe(true);
    expect(error).toBeInstanceOf(HookNotFoundError);
    expect(error.token).toBe(token);
    expect(error.message).toBe('Hook not found');
    await expect(getHookByToken(token)).rejects.toMatchObject({ name: 'HookNotFoundError', token });
  }
});

test('a hook that was disposed, or whose run has ended, is not found: by token and by object', async () => {
  const disposed = await newHook(world, 'disposed');
  const ended = await newHook(world, 'ended');
  await world.events.create(disposed.runId, {
    eventType: 'hook_disposed',
    specVersion: 3,
    correlationId: disposed.hookId,
  });
  await world.events.create(ended.runId, {
    eventType: 'run_completed',
    specVersion: 3,
    eventData: { output: devalueString('done') },
  });
  for (const hook of [disposed, ended]) {
    const missing = { name: 'HookNotFoundError', token: hook.token };
    await expect(resumeHook(hook.token, 1)).rejects.toMatchObject(missing);
    await expect(resumeHook(hook, 1)).rejects.toMatchObject(missing);
    expect(await eventTypes(world, hook.runId)).not.toContain('hook_received');
  }
});

test('a hook object of a run that does not exist rejects with WorkflowRunNotFoundError', async () => {
  const hook = { ...(await newHook(world, 'token')), runId: 'wrun_01ARZ3NDEKTSV4RRFFQ69G5FAV' };
  await expect(resumeHook(hook, 1)).rejects.toMatchObject({
    name: 'WorkflowRunNotFoundError',
    runId: hook.runId,
  });
});

test('what is neither a token nor a hook rejects with a TypeError that tells no secret', async () => {
  const hook = await newHook(world, 'secret');
  const { hookId: _h, ...noHookId } = hook;
  const { runId: _r, ...noRunId } = hook;
  for (const wrong of [undefined, null, 5, {}, noHookId, noRunId, { ...hook, token: 7 }]) {
    const error = await resumeHook(wrong as never, {}).catch((e) => e);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).not.toContain('secret');
  }
  await expect(getHookByToken(undefined as never)).rejects.toBeInstanceOf(TypeError);
});

test('a payload that cannot be serialized rejects as in the SDK, and nothing is written', async () => {
  const log = jest.spyOn(console, 'error').mockImplementation(() => undefined);
  const { runId } = await newHook(world, 'token');
  const error = await resumeHook('token', { secret: () => 1 }).catch((e) => e);
  expect(error).toMatchObject({ name: 'WorkflowRuntimeError' });
  expect(error.message).toContain('Failed to serialize step return value');
  expect(await eventTypes(world, runId)).not.toContain('hook_received');
  log.mockRestore();
});

test('a hook of spec version 1 is sent a plain value, without the token', async () => {
  const hook = await newHook(world, 'token');
  const legacy: Hook = { ...hook, specVersion: 1 };
  await resumeHook(legacy, { approved: true });
  expect(await received(hook.runId)).toEqual([{ approved: true }]);
  const { data } = await world.events.list({ runId: hook.runId });
  const { eventData } = data.at(-1) as { eventData: { payload: unknown } };
  expect(Array.isArray(eventData.payload)).toBe(true);
  expect(eventData).not.toHaveProperty('token');
});

test('an encryption key is used for a run that can decrypt, and dropped for one that cannot', async () => {
  const key = await crypto.subtle.importKey('raw', new Uint8Array(32), 'AES-GCM', false, [
    'encrypt',
    'decrypt',
  ]);
  const formatOf = async (workflowCoreVersion: string | undefined) => {
    const { run } = await world.events.create(null, {
      eventType: 'run_created',
      specVersion: 3,
      eventData: {
        deploymentId: 'd',
        workflowName: 'w',
        input: devalueString(''),
        executionContext: { workflowCoreVersion },
      },
    });
    const runId = (run as { runId: string }).runId;
    const hook = await newHook(world, `token of ${runId}`, { runId });
    await resumeHook(hook.token, 'secret', key);
    const { data } = await world.events.list({ runId });
    const { payload } = (data.at(-1) as { eventData: { payload: Uint8Array } }).eventData;
    return new TextDecoder().decode(payload.slice(0, 4));
  };
  expect(await formatOf('4.8.9')).toBe('encr');
  expect(await formatOf('4.1.0')).toBe('devl');
  expect(await formatOf(undefined)).toBe('devl');
});

test('a stream in a payload is uploaded to the run', async () => {
  const { runId } = await newHook(world, 'token');
  const body = new ReadableStream({
    type: 'bytes',
    start(controller) {
      controller.enqueue(new TextEncoder().encode('streamed'));
      controller.close();
    },
  });
  await resumeHook('token', { body });
  const names = async () => world.listStreamsByRunId(runId);
  while ((await names()).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const chunks = await readAll(await world.readFromStream((await names())[0] as string));
  expect(chunks.join('')).toContain('streamed');
});

test('a stream in a payload that fails is logged without its content, and nothing is unhandled', async () => {
  const log = jest.spyOn(console, 'warn').mockImplementation(() => undefined);
  const { runId, hookId } = await newHook(world, 'token');
  const failing = (reason: unknown) =>
    new ReadableStream({
      pull(controller) {
        controller.error(reason);
      },
    });
  await resumeHook('token', { body: failing(undefined) });
  await resumeHook('token', { body: failing(new Error('broken')) });
  while (log.mock.calls.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(log.mock.calls).toEqual([
    [expect.stringContaining('[hookline]'), { runId, hookId, reason: 'broken' }],
  ]);
  log.mockRestore();
});

test('two resumes at once are two events', async () => {
  const { runId } = await newHook(world, 'token');
  await Promise.all(Array.from({ length: 20 }, (_, n) => resumeHook('token', n)));
  expect((await received(runId)).sort((a, b) => Number(a) - Number(b))).toEqual(
    Array.from({ length: 20 }, (_, n) => n),
  );
});

test('a World that the SDK does not know of is found by the environment', async () => {
  const { runId } = await newHook(world, 'token');
  useAsSdkWorld(undefined);
  process.env.WORKFLOW_HOOKLINE_URL = url;
  expect((await resumeHook('token', 1)).runId).toBe(runId);
});

test('beside a World of somebody else nothing is resumed, and the error says why', async () => {
  const { runId } = await newHook(world, 'token');
  process.env.WORKFLOW_HOOKLINE_URL = url;
  useAsSdkWorld({ hooks: {}, isSomebodyElses: true } as never);
  const error = await resumeHook('token', 1).catch((error) => error);
  expect(error).toMatchObject({ name: 'WorkflowWorldError', code: 'NOT_CONFIGURED' });
  expect(error.message).toContain('Set WORKFLOW_TARGET_WORLD=hookline');
  expect(await received(runId)).toEqual([]);
});

test('a database that cannot be used is an error of its own, and not a missing hook', async () => {
  useAsSdkWorld(undefined);
  const folder = join(newFolder(), 'folder');
  mkdirSync(folder);
  process.env.WORKFLOW_HOOKLINE_URL = folder;
  const error = await resumeHook('token', 1).catch((e) => e);
  expect(error).toMatchObject({ name: 'WorkflowWorldError', code: expect.any(String) });
  expect(error.message).toContain(folder);
  expect(error.message).not.toContain('token');
});

test('a run that is only pending can be resumed too', async () => {
  const runId = await newRun(world);
  await newHook(world, 'token', { runId });
  expect((await resumeHook('token', 1)).runId).toBe(runId);
});

describe('what only watches does not change the outcome', () => {
  const broken = () => {
    throw new Error('broken');
  };
  const span = { setAttributes: broken, setStatus: broken, end: broken, spanContext: broken };
  const tracer = (startActiveSpan: unknown) => ({
    trace: { getTracer: () => ({ startActiveSpan }) },
  });
  test.each<[string, string, object]>([
    ['a waitUntil', '@vercel/request-context', { get: () => ({ waitUntil: broken }) }],
    ['a provider of tracers', 'opentelemetry.js.api.1', { trace: { getTracer: broken } }],
    ['a tracer', 'opentelemetry.js.api.1', tracer(broken)],
    [
      'a span',
      'opentelemetry.js.api.1',
      tracer((_name: string, _options: object, work: (s: object) => unknown) => work(span)),
    ],
  ])('%s that throws', async (_what, place, registered) => {
    const { runId } = await newHook(world, 'token');
    const globals = globalThis as { [key: symbol]: unknown };
    globals[Symbol.for(place)] = registered;
    try {
      await expect(resumeHook('token', 1)).resolves.toMatchObject({ runId });
      await expect(resumeHook('nobody', 1)).rejects.toMatchObject({ name: 'HookNotFoundError' });
    } finally {
      delete globals[Symbol.for(place)];
    }
    expect(await received(runId)).toEqual([1]);
  });
});
