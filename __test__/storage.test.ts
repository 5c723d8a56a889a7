import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Event } from 'hookline';
import { isOnPostgres } from './databases';
import {
  cleanUp,
  devalueString,
  eventTypes,
  newDatabase,
  newFolder,
  newHook,
  newRun,
  newWorld,
  testOfFile,
} from './support';

afterEach(cleanUp);
afterEach(() => {
  delete process.env.WORKFLOW_MAX_EVENTS;
});

testOfFile('a World makes its database at the first write, and not before', async () => {
  const url = join(newFolder(), 'nested', 'hookline.db');
  const world = newWorld({ url });
  expect(existsSync(dirname(url))).toBe(false);
  await newRun(world);
  expect(existsSync(url)).toBe(true);
});

test('an event comes back with its payload, its dates and nothing else', async () => {
  const world = newWorld();
  const runId = await newRun(world);
  const input = devalueString('argument');
  const { event, step } = await world.events.create(runId, {
    eventType: 'step_created',
    specVersion: 3,
    correlationId: 'step_1',
    eventData: { stepName: 'step//./a//s', input },
  });
  expect(step).toMatchObject({ runId, stepId: 'step_1', status: 'pending', attempt: 0, input });
  expect(event).toMatchObject({ runId, eventType: 'step_created', correlationId: 'step_1' });
  const read = (await world.events.get(runId, (event as Event).eventId)) as Event & {
    eventData: { input: Uint8Array };
  };
  expect(read.eventData).toEqual({ stepName: 'step//./a//s', input });
  expect(Buffer.isBuffer(read.eventData.input)).toBe(false);
  expect(read.createdAt).toBeInstanceOf(Date);
});

test("resolveData 'none' leaves payloads out, and everything else in", async () => {
  const world = newWorld();
  const { hookId, runId } = await newHook(world, 'token', { metadata: devalueString('m') });
  const none = { resolveData: 'none' } as const;
  const run = await world.runs.get(runId, none);
  expect([Object.hasOwn(run, 'input'), run.input, run.workflowName]).toEqual([
    true,
    undefined,
    'workflow//./a//b',
  ]);
  expect(Object.hasOwn(await world.hooks.get(hookId, none), 'metadata')).toBe(false);
  expect(Object.hasOwn(await world.hooks.getByToken('token', none), 'metadata')).toBe(false);
  expect((await world.hooks.getByToken('token')).metadata).toEqual(devalueString('m'));
  const { data } = await world.events.list({ runId, ...none });
  const created = data.find((event) => event.eventType === 'hook_created');
  expect(created).toMatchObject({ eventData: { token: 'token' } });
  expect(Object.keys((created as { eventData: object }).eventData)).not.toContain('metadata');
});

test('pages follow each other, and the last one still has a cursor for what comes later', async () => {
  const world = newWorld();
  const runId = await newRun(world);
  const list = (cursor?: string) =>
    world.events.list({ runId, pagination: { limit: 1, sortOrder: 'asc', cursor } });
  const first = await list();
  const second = await list(first.cursor as string);
  expect([first.hasMore, second.hasMore]).toEqual([true, false]);
  expect(second.cursor).not.toBeNull();
  expect(second.cursor).not.toBe(first.cursor);
  await newHook(world, 'later', { runId });
  const third = await list(second.cursor as string);
  expect(third.data.map((event) => event.eventType)).toEqual(['hook_created']);
});

test('an empty cursor is the first page, and one of nobody is refused with status 400', async () => {
  const world = newWorld();
  const runId = await newRun(world);
  expect((await world.events.list({ runId, pagination: { cursor: '' } })).data).toHaveLength(2);
  await expect(
    world.events.list({ runId, pagination: { cursor: 'no cursor of ours' } }),
  ).rejects.toMatchObject({ name: 'WorkflowWorldError', status: 400 });
});

test('an argument that could not be stored is refused with status 400', async () => {
  const world = newWorld();
  const bad = { name: 'WorkflowWorldError', status: 400 };
  const create = world.events.create as (...args: unknown[]) => Promise<unknown>;
  await expect(create('wrun_1', undefined)).rejects.toMatchObject(bad);
  await expect(create(null, { eventType: 'run_started' })).rejects.toMatchObject(bad);
  await expect(create(5, { eventType: 'run_started' })).rejects.toMatchObject(bad);
  await expect(
    create('wrun_1', {
      eventType: 'wait_created',
      correlationId: 'w',
      eventData: { resumeAt: 'no date' },
    }),
  ).rejects.toMatchObject(bad);
  await expect(world.runs.get(undefined as never)).rejects.toMatchObject(bad);
  await expect(world.hooks.getByToken(5 as never)).rejects.toMatchObject(bad);
  await expect(world.runs.list({ pagination: { limit: 0 } })).rejects.toMatchObject(bad);
  await expect(world.runs.list({ pagination: { sortOrder: 'up' as never } })).rejects.toMatchObject(
    bad,
  );
});

test('what does not exist rejects with the class that the SDK expects', async () => {
  const world = newWorld();
  const runId = 'wrun_01ARZ3NDEKTSV4RRFFQ69G5FAV';
  await expect(world.runs.get(runId)).rejects.toMatchObject({
    name: 'WorkflowRunNotFoundError',
    runId,
  });
  await expect(world.hooks.get('hook_0')).rejects.toMatchObject({ name: 'HookNotFoundError' });
  await expect(world.hooks.getByToken('nobody')).rejects.toMatchObject({
    name: 'HookNotFoundError',
    token: 'nobody',
  });
  await expect(world.steps.get(undefined, 'step_0')).rejects.toMatchObject({
    name: 'WorkflowWorldError',
  });
});

test('a date may be given as a date, a text or a number', async () => {
  const world = newWorld();
  const runId = await newRun(world);
  const at = 1_900_000_000_000;
  const given = [new Date(at), new Date(at).toISOString(), at];
  for (const [index, resumeAt] of given.entries()) {
    const { wait, event } = await world.events.create(runId, {
      eventType: 'wait_created',
      specVersion: 3,
      correlationId: `wait_${index}`,
      eventData: { resumeAt },
    });
    expect(wait).toMatchObject({ waitId: `${runId}-wait_${index}`, resumeAt: new Date(at) });
    expect(event).toMatchObject({ eventData: { resumeAt: new Date(at) } });
  }
});

test('a structured error survives, on the event and on its run', async () => {
  const world = newWorld();
  const runId = await newRun(world);
  const error = { message: 'wrong', stack: 'at a' };
  const { run, event } = await world.events.create(runId, {
    eventType: 'run_failed',
    specVersion: 3,
    eventData: { error, errorCode: 'USER_ERROR' },
  });
  expect(event).toMatchObject({ eventData: { error, errorCode: 'USER_ERROR' } });
  expect(run).toMatchObject({ status: 'failed', error: { message: 'wrong', stack: 'at a' } });
  expect(run?.completedAt).toBeInstanceOf(Date);
});

test('maxEvents is there only when the environment sets a positive integer', async () => {
  const world = newWorld();
  const runId = await newRun(world);
  const start = () => world.events.create(runId, { eventType: 'run_started', specVersion: 3 });
  expect(await start()).not.toHaveProperty('maxEvents');
  for (const wrong of ['0', '-1', '1.5', 'many', '']) {
    process.env.WORKFLOW_MAX_EVENTS = wrong;
    expect(await start()).not.toHaveProperty('maxEvents');
  }
  process.env.WORKFLOW_MAX_EVENTS = '500';
  expect((await start()).maxEvents).toBe(500);
});

test('two Worlds on one database see each other, however its URL is written', async () => {
  const url = newDatabase();
  const alike = isOnPostgres(url)
    ? url.replace(/^postgres:/, 'postgresql:')
    : pathToFileURL(url).href;
  const [one, other] = [newWorld({ url }), newWorld({ url: alike })];
  const { runId } = await newHook(one, 'token');
  expect((await other.hooks.getByToken('token')).runId).toBe(runId);
  await one.close();
  expect(await eventTypes(other, runId)).toEqual(['run_created', 'run_started', 'hook_created']);
});

test('methods work when they are picked off the object, and when it is spread', async () => {
  const world = newWorld();
  const { create, list } = world.events;
  const { get } = { ...world }.runs;
  const { run } = await create(null, {
    eventType: 'run_created',
    specVersion: 3,
    eventData: { deploymentId: 'd', workflowName: 'w', input: devalueString('x') },
  });
  const runId = (run as { runId: string }).runId;
  expect((await get(runId)).status).toBe('pending');
  expect((await list({ runId })).data).toHaveLength(1);
  const { getDeploymentId, writeToStream, close } = world;
  await writeToStream('stream', runId, 'x');
  expect(await getDeploymentId()).toBe('dpl_hookline');
  await close();
});

test('close may be called twice, at once, or before any use', async () => {
  const used = newWorld();
  await used.runs.list();
  await Promise.all([used.close(), used.close()]);
  await used.close();
  await newWorld().close();
});

test('a closed World says so', async () => {
  const world = newWorld();
  await world.runs.list();
  await world.close();
  await expect(world.runs.list()).rejects.toMatchObject({
    name: 'WorkflowWorldError',
    code: 'CLOSED',
  });
});

test('a malformed option is an error of the first operation, and of start()', async () => {
  const world = newWorld({ durability: 'sometimes' as never });
  await expect(world.runs.list()).rejects.toMatchObject({ code: 'BAD_CONFIG' });
  await expect(world.start()).rejects.toMatchObject({ code: 'BAD_CONFIG' });
});

testOfFile('a database that could not be opened is tried again by the next operation', async () => {
  const { mkdirSync, rmSync } = jest.requireActual<typeof import('node:fs')>('node:fs');
  const url = newDatabase();
  mkdirSync(url);
  const world = newWorld({ url });
  await expect(world.runs.list()).rejects.toMatchObject({ name: 'WorkflowWorldError' });
  rmSync(url, { recursive: true });
  expect((await world.runs.list()).data).toEqual([]);
});
