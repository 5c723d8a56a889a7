/** The operators' view: the depth of the queue and dead messages; and Worlds that only read. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { resumeHook } from 'hookline';
import { createTestWorld } from 'hookline/testing';
import { until } from './crash/harness';
import {
  cleanUp,
  newDatabase,
  newFolder,
  newHook,
  newRun,
  newWorld,
  readAll,
  useAsSdkWorld,
} from './support';

const STEP = '__wkf_step_x';
const LIMIT_MS = 20_000;

afterEach(() => useAsSdkWorld(undefined));
afterEach(cleanUp);

const NOTHING = {
  messages: { due: 0, sleeping: 0, leased: 0, dead: 0, held: 0, parked: 0 },
  oldestDueMessageMs: null,
  runs: { pending: 0, running: 0 },
  deliveries: { inFlight: 0, leasesLost: 0, faults: [] },
  stalled: null,
  log: { bytes: expect.any(Number), readBy: [] },
};

test('the depth of the queue, and what this process is doing of it, is told', async () => {
  const world = newWorld({ delivery: 'direct' });
  expect(await world.stats()).toEqual(NOTHING);
  await newRun(world);
  let finish = () => {};
  const finished = new Promise<void>((done) => (finish = done));
  world.createQueueHandler('__wkf_step_', () => finished);
  await world.queue(STEP, { n: 1 });
  await world.queue(STEP, { n: 2 }, { delaySeconds: 3600 });
  const before = await world.stats();
  expect(before).toEqual({
    ...NOTHING,
    messages: { due: 1, sleeping: 1, leased: 0, dead: 0, held: 0, parked: 0 },
    oldestDueMessageMs: expect.any(Number),
    runs: { pending: 0, running: 1 },
  });
  expect(before.oldestDueMessageMs).toBeGreaterThanOrEqual(0);
  await world.start();
  // The claim is committed before its delivery begins.
  await until('the delivery', LIMIT_MS, async () => {
    return (await world.stats()).deliveries.inFlight === 1;
  });
  expect(await world.stats()).toMatchObject({
    messages: { due: 0, sleeping: 1, leased: 1, dead: 0, held: 0, parked: 0 },
    deliveries: { inFlight: 1, leasesLost: 0 },
  });
  finish();
  await until('its end', LIMIT_MS, async () => {
    const { messages, deliveries } = await world.stats();
    return messages.leased === 0 && deliveries.inFlight === 0;
  });
  expect((await world.stats()).deliveries.leasesLost).toBe(0);
});

test('a message that always fails is given up in the end, listed with its error, and can be put back', async () => {
  const world = createTestWorld();
  const attempts: number[] = [];
  let works = false;
  world.createQueueHandler('__wkf_step_', async (_message, { attempt }) => {
    attempts.push(attempt);
    if (!works) throw new Error(`broken ${attempt}`);
  });
  const { messageId } = await world.queue(STEP, { n: 1 });
  await world.drain({ skipSleeps: true });
  // Never before the runtime's own limit, which is 48.
  expect(attempts).toEqual(Array.from({ length: 64 }, (_, n) => n + 1));
  expect((await world.stats()).messages).toEqual({
    due: 0,
    sleeping: 0,
    leased: 0,
    dead: 1,
    held: 0,
    parked: 0,
  });
  const { data, hasMore } = await world.deadMessages();
  expect(hasMore).toBe(false);
  expect(data).toEqual([
    {
      messageId,
      queueName: STEP,
      attempt: 64,
      error: 'Error: broken 64',
      createdAt: expect.any(Date),
      deadAt: expect.any(Date),
    },
  ]);
  works = true;
  expect(await world.redrive(messageId)).toEqual({ messageId });
  await world.drain();
  expect(attempts.slice(64)).toEqual([1]);
  expect((await world.deadMessages()).data).toEqual([]);
  const again = world.redrive(messageId);
  await expect(again).rejects.toMatchObject({ name: 'WorkflowWorldError', code: 'NOT_FOUND' });
  await expect(world.redrive('msg_1')).rejects.toMatchObject({ code: 'INVALID' });
  await world.close();
});

test('a World that only reads sees what others write, and refuses to write itself', async () => {
  const url = newDatabase();
  const writer = newWorld({ url, role: 'producer' });
  const hook = await newHook(writer, 'token', { metadata: undefined });
  const reader = newWorld({ url, role: 'reader' });
  await reader.start();
  expect((await reader.hooks.getByToken('token')).hookId).toBe(hook.hookId);
  const stream = readAll(await reader.readFromStream('s'));
  await writer.writeToStream('s', hook.runId, 'chunk');
  await writer.closeStream('s', hook.runId);
  expect(await stream).toEqual(['chunk']);
  const refused = { name: 'WorkflowWorldError', code: 'READ_ONLY', status: 400 };
  useAsSdkWorld(reader);
  await expect(resumeHook('token', 1)).rejects.toMatchObject(refused);
  await expect(reader.queue(STEP, {})).rejects.toMatchObject(refused);
  await expect(newRun(reader)).rejects.toMatchObject(refused);
  await expect(reader.writeToStream('s', hook.runId, 'x')).rejects.toMatchObject(refused);
  await expect(reader.redrive('msg_00000000000000000000000000')).rejects.toThrow();
  expect((await reader.stats()).messages).toMatchObject({ due: 0, leased: 0 });
  expect(readdirSync(`${url}-owners`)).toEqual(['host']);
  useAsSdkWorld(writer);
  await resumeHook('token', 1);
});

test('a World that only reads makes no database', async () => {
  const url = join(newFolder(), 'folder', 'hookline.db');
  const reader = newWorld({ url, role: 'reader' });
  expect((await reader.runs.list()).data).toEqual([]);
  expect(existsSync(dirname(url))).toBe(false);
  const writer = newWorld({ url });
  await newRun(writer);
  expect((await reader.runs.list()).data).toHaveLength(1);
});
