/** Which app is asked to run a message over HTTP, and which is not. */
import type { Server } from 'node:http';
import { networkInterfaces } from 'node:os';
import { until } from './crash/harness';
import {
  type Answer,
  closeApps,
  FLOW_PREFIX,
  LIMIT_MS,
  newWorldWithApp,
  OK,
  STEP_PREFIX,
  serve,
  servers,
} from './http-app';
import { cleanUp } from './support';

afterEach(cleanUp);
afterEach(closeApps);

test('an app with a handler in this process for both kinds of queues is never asked', async () => {
  const { baseUrl, requests } = await serve(async () => OK);
  const world = newWorldWithApp({ delivery: 'auto', baseUrl });
  const delivered: string[] = [];
  for (const prefix of [FLOW_PREFIX, STEP_PREFIX]) {
    world.createQueueHandler(prefix, async (_message, { queueName }) => {
      delivered.push(queueName);
    });
  }
  await world.start();
  for (let n = 1; n <= 10; n += 1) {
    await world.queue(`${FLOW_PREFIX}w`, { n });
    await world.queue(`${STEP_PREFIX}x`, { n });
    await until('the deliveries', LIMIT_MS, () => delivered.length === 2 * n);
  }
  await world.close();
  expect(requests).toEqual([]);
});

test.each<[string, Answer | 'none']>([
  ['says that it has no such route', { status: 404, body: '', handled: null }],
  ['says nothing', 'none'],
])('an app that %s holds up no delivery within this process', async (_name, challenged) => {
  const { baseUrl, requests } = await serve(async () => OK, challenged);
  const world = newWorldWithApp({ delivery: 'auto', baseUrl });
  let delivered = 0;
  world.createQueueHandler(FLOW_PREFIX, async () => {
    delivered += 1;
  });
  await world.start();
  await world.queue(`${STEP_PREFIX}x`, { n: 0 });
  await until('the app is asked', LIMIT_MS, () => requests.length > 0);
  const before = requests.length;
  for (let n = 1; n <= 30; n += 1) {
    await world.queue(`${FLOW_PREFIX}w`, { n });
    await until('the delivery', LIMIT_MS, () => delivered === n);
  }
  // If the app were challenged before each request, there would be as many challenges.
  expect(requests.length - before).toBeLessThan(30);
  expect(requests.filter((request) => request !== 'challenge')).toEqual([]);
});

const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);

describe('an app whose address our settings do not say', () => {
  const { PORT, WORKFLOW_LOCAL_BASE_URL } = process.env;
  beforeEach(() => {
    delete process.env.PORT;
    delete process.env.WORKFLOW_LOCAL_BASE_URL;
  });
  afterEach(() => {
    for (const [name, value] of Object.entries({ PORT, WORKFLOW_LOCAL_BASE_URL })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });

  test('is looked for when its port is any that is free', async () => {
    process.env.PORT = '0';
    const world = newWorldWithApp({ delivery: 'http' });
    await world.start();
    await world.queue(`${STEP_PREFIX}x`, { n: 1 });
    const { requests } = await serve(async () => OK);
    await until('the delivery', LIMIT_MS, () =>
      requests.some((request) => request !== 'challenge'),
    );
  });

  test.each(hasIpv6 ? ['127.0.0.1', '::1', '::'] : ['127.0.0.1'])(
    'is found among the servers of this process, on %s',
    async (host) => {
      const others = [
        await serve(async () => OK, { status: 404, body: '', handled: null }),
        await serve(async () => OK, { ...OK, handled: null }),
        await serve(async () => OK, { ...OK, handled: 'forged' }),
        await serve(async () => OK, { status: 200, body: '<html></html>', handled: null }),
      ];
      const world = newWorldWithApp({ delivery: 'http' });
      await world.start();
      await world.queue(`${STEP_PREFIX}x`, { n: 1 });
      // The app listens last, so the server that answers everything was tried first.
      await until('all are asked', LIMIT_MS, () =>
        others.every(({ requests }) => requests.length > 0),
      );
      const { requests } = await serve(async () => OK, OK, host);
      const asked = () => requests.filter((request) => request !== 'challenge');
      await until('the delivery', LIMIT_MS, () => asked().length === 1);
      await until('its end', LIMIT_MS, async () => (await world.stats()).messages.leased === 0);
      for (const other of others) expect(new Set(other.requests)).toEqual(new Set(['challenge']));
    },
  );
});

const onIpv6 = hasIpv6 ? describe : describe.skip;

onIpv6("somebody else's server on the app's port", () => {
  afterEach(() => {
    delete process.env.PORT;
  });

  /** A server that accepts every request. */
  const falseServer = (host: string, port?: number) =>
    serve(async () => ({ ...OK, handled: null }), { ...OK, handled: null }, host, port);

  test.each([
    ['0.0.0.0', '::1'],
    ['127.0.0.1', '::1'],
    ['::1', '127.0.0.1'],
  ])('of an app on %s gets no message on %s, whatever it answers', async (host, other) => {
    const stranger = await falseServer(other);
    process.env.PORT = String(stranger.port);
    const world = newWorldWithApp({ delivery: 'http' });
    await world.start();
    await world.queue(`${STEP_PREFIX}x`, { secret: 1 });
    await until('the stranger is asked', LIMIT_MS, () => stranger.requests.length > 0);
    const { requests } = await serve(async () => OK, OK, host, stranger.port);
    await until('its end', LIMIT_MS, async () => (await world.stats()).messages.leased === 0);
    await until('the delivery', LIMIT_MS, () => requests.length === 2);
    expect(new Set(stranger.requests)).toEqual(new Set(['challenge']));
  });

  test('that takes the place of an app which has gone gets no message either', async () => {
    let gone = () => {};
    const app = await serve(async () => {
      gone();
      return OK;
    });
    const world = newWorldWithApp({ delivery: 'http', baseUrl: app.baseUrl });
    await world.start();
    const left = new Promise<void>((resolve) => (gone = resolve));
    await world.queue(`${STEP_PREFIX}x`, { n: 1 });
    await left;
    await until('its end', LIMIT_MS, async () => (await world.stats()).messages.leased === 0);
    const [server] = servers.splice(0) as [Server];
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
    const stranger = await falseServer('127.0.0.1', app.port);
    await world.queue(`${STEP_PREFIX}x`, { secret: 2 });
    await until('it is asked', LIMIT_MS, () => stranger.requests.length > 1);
    await until(
      'nothing is out',
      LIMIT_MS,
      async () => (await world.stats()).messages.leased === 0,
    );
    expect(new Set(stranger.requests)).toEqual(new Set(['challenge']));
    const { messages } = await world.stats();
    expect(messages.due + messages.sleeping).toBe(1);
  });
});
