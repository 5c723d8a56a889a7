/** Several Worlds of one process on one database, and their own settings. */
import type { WorldOptions } from 'hookline';
import { until } from './crash/harness';
import { cleanUp, loadModule, newDatabase, newWorld } from './support';

const STEP_PREFIX = '__wkf_step_';
const LIMIT_MS = 10_000;

afterEach(cleanUp);

test.each(['producer', 'reader'] as const)(
  'a %s that opened the database first does not keep a later worker from delivering',
  async (role) => {
    const url = newDatabase();
    // A reader makes no database.
    const maker = newWorld({ url });
    await maker.runs.list();
    await maker.close();
    const first = newWorld({ url, role, delivery: 'direct' });
    await first.start();
    const worker = newWorld({ url, role: 'worker', delivery: 'direct' });
    let deliveries = 0;
    worker.createQueueHandler(STEP_PREFIX, async () => {
      deliveries += 1;
    });
    await worker.start();
    await worker.queue(`${STEP_PREFIX}x`, { n: 1 });
    await until('a delivery', LIMIT_MS, () => deliveries === 1);
    await first.close();
    await worker.queue(`${STEP_PREFIX}x`, { n: 2 });
    await until('a delivery after the first has gone', LIMIT_MS, () => deliveries === 2);
  },
);

test('a producer delivers nothing, though a worker opened the database first', async () => {
  const url = newDatabase();
  const worker = newWorld({ url, role: 'worker', delivery: 'direct' });
  await worker.runs.list();
  const producer = newWorld({ url, role: 'producer', delivery: 'direct' });
  const deliveries: number[] = [];
  producer.createQueueHandler(STEP_PREFIX, async (message) => {
    deliveries.push((message as { n: number }).n);
  });
  await producer.start();
  await producer.queue(`${STEP_PREFIX}x`, { n: 1 });
  // A dispatcher would run on a thread of its own, and the commit would wake it.
  for (let n = 0; n < 20; n += 1) await producer.runs.list();
  expect(deliveries).toEqual([]);
  await worker.start();
  await until('a delivery by the worker', LIMIT_MS, () => deliveries.length === 1);
});

test('as many deliveries are in flight as the World says that delivers, not the one that opened first', async () => {
  const url = newDatabase();
  const first = newWorld({ url, role: 'producer', delivery: 'direct' });
  await first.runs.list();
  const worker = newWorld({ url, delivery: 'direct', concurrency: 2 });
  const finish: (() => void)[] = [];
  worker.createQueueHandler(STEP_PREFIX, () => new Promise<void>((done) => finish.push(done)));
  for (let n = 0; n < 5; n += 1) await first.queue(`${STEP_PREFIX}x`, { n });
  await worker.start();
  const leased = async () => (await worker.stats()).messages.leased;
  await until('two deliveries', LIMIT_MS, () => finish.length === 2);
  expect(await leased()).toBe(2);
  for (const more of [3, 4, 5]) {
    finish.shift()?.();
    await until(`delivery ${more}`, LIMIT_MS, () => finish.length === 2 || more === 5);
    expect(await leased()).toBeLessThanOrEqual(2);
  }
  const last = setInterval(() => finish.shift()?.(), 5);
  await until('their end', LIMIT_MS, async () => (await leased()) === 0);
  clearInterval(last);
});

test.each<[string, WorldOptions, WorldOptions]>([
  ['DURABILITY', { durability: 'full' }, { durability: 'normal' }],
  ['DELIVERY', { delivery: 'direct' }, { delivery: 'http' }],
])(
  'a World with another %s than the one that has the database open is refused, and may open it later',
  async (setting, mine, theirs) => {
    const url = newDatabase();
    const first = newWorld({ url, ...mine });
    await first.closeStream('s', 'wrun_s');
    const second = newWorld({ url, ...theirs });
    for (let n = 0; n < 2; n += 1) {
      await expect(second.runs.list()).rejects.toMatchObject({
        name: 'WorkflowWorldError',
        code: 'BAD_CONFIG',
        status: 500,
        message: expect.stringContaining(`WORKFLOW_HOOKLINE_${setting}`),
      });
    }
    await first.runs.list();
    await first.close();
    expect((await second.runs.list()).data).toEqual([]);
  },
);

test('a World that was refused leaves the database to the first when it closes', async () => {
  const url = newDatabase();
  const first = newWorld({ url, durability: 'full' });
  await first.closeStream('s', 'wrun_s');
  const second = newWorld({ url, durability: 'normal' });
  await second.runs.list().catch(() => undefined);
  await second.close();
  expect((await first.runs.list()).data).toEqual([]);
});

test('deliveries over HTTP are verified by a World that is no reader, whichever opened first', () => {
  const { joinTable, openedWorld } =
    loadModule<typeof import('../ts/engine/handlers')>('ts/engine/handlers.ts');
  const engineOf = (role?: string) => ({ key: () => 'shared', config: () => ({ role }) }) as never;
  const [reader, native] = [{}, {}] as never[];
  const asking = engineOf('reader');
  const opened = [joinTable(asking, reader as never)];
  expect([openedWorld(asking), openedWorld(engineOf())]).toEqual([undefined, undefined]);
  opened.push(joinTable(engineOf(), native as never));
  expect(openedWorld(engineOf())).toBe(native);
  expect(openedWorld(asking)).toBe(native);
  for (const { leave } of opened) leave();
});
