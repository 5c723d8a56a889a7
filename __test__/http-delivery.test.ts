/** What a delivery over HTTP carries, what its answers mean, and when the app is asked at all. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BUILD_LIMIT_MS, buildInspector, inspect, until } from './crash/harness';
import { cleanUp, newDatabase, newWorld, ROOT, runNode } from './support';

const FLOW_PREFIX = '__wkf_workflow_';
const STEP_PREFIX = '__wkf_step_';
const ATTEMPT = 'x-vqs-message-attempt';
const HANDLED = 'x-hookline-handled';
const LIMIT_MS = 10_000;

const servers: Server[] = [];

beforeAll(buildInspector, BUILD_LIMIT_MS);
afterEach(cleanUp);
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** A delivery as the app gets it. */
interface Asked {
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** What the app answers, and which message it says it has handled: unless given, the right one. */
type Answer = { status: number; body: string; handled?: string | null };

const OK = { status: 200, body: '{"ok":true}' };

/** An app; `requests` are its requests in order, a question for its health as `'health'`. */
async function serve(
  answer: (asked: Asked) => Promise<Answer>,
  health: Answer | 'none' = OK,
  host = '127.0.0.1',
) {
  const requests: ('health' | Asked)[] = [];
  const server = createServer(async (incoming, outgoing) => {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part);
    const headers = incoming.headers as Record<string, string>;
    const asked = { path: incoming.url as string, headers, body: Buffer.concat(parts).toString() };
    const isHealth = asked.path.endsWith('?__health');
    requests.push(isHealth ? 'health' : asked);
    const answered = isHealth ? health : await answer(asked);
    if (answered === 'none') return;
    const { status, body, handled = asked.headers['x-vqs-message-id'] } = answered;
    outgoing.writeHead(status, handled ? { [HANDLED]: handled } : {}).end(body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { baseUrl, requests };
}

/** A request to the route that {@link serve} would forward, with changes. */
function forwarded({ headers, body }: Asked, changes: Record<string, string> = {}): Request {
  const url = 'http://localhost/.well-known/workflow/v1/flow';
  return new Request(url, { method: 'POST', headers: { ...headers, ...changes }, body });
}

async function answerOf(response: Response): Promise<Answer> {
  const handled = response.headers.get(HANDLED);
  return { status: response.status, body: await response.text(), handled };
}

describe('an answer', () => {
  /** The requests of a message whose first deliveries are answered so, and whose last is taken. */
  async function requestsOf(...answers: Answer[]): Promise<string[]> {
    const url = newDatabase();
    const deliveries = answers.length + 1;
    const { baseUrl, requests } = await serve(async () => answers.shift() ?? OK);
    const world = newWorld({ url, delivery: 'http', baseUrl });
    await world.start();
    await world.queue(`${STEP_PREFIX}x`, { n: 1 });
    const asked = () => requests.filter((request) => request !== 'health');
    await until('all deliveries', LIMIT_MS, () => asked().length === deliveries);
    await world.close();
    expect(inspect(url).messages).toBe(0);
    return requests.map((request) =>
      request === 'health' ? 'health' : `attempt ${request.headers[ATTEMPT]}`,
    );
  }

  test.each([200, 401, 404, 502, 503])(
    'of %i that names no message is of no handler: the attempt does not count, and the app is asked for its health again',
    async (status) => {
      const answer = {
        status,
        body: '{"error":"of a proxy, or of another program"}',
        handled: null,
      };
      expect(await requestsOf(answer, { ...answer, handled: 'msg_other' })).toEqual([
        'health',
        'attempt 1',
        'health',
        'attempt 1',
        'health',
        'attempt 1',
      ]);
    },
  );

  test('of 422 of the handler says that it will never do it: the message is given up', async () => {
    const answer = { status: 422, body: '"never"' };
    const { baseUrl, requests } = await serve(async () => answer);
    const world = newWorld({ delivery: 'http', baseUrl });
    await world.start();
    await world.queue(`${STEP_PREFIX}x`, { n: 1 });
    await until('the end', LIMIT_MS, async () => (await world.stats()).messages.dead === 1);
    expect(requests.filter((request) => request !== 'health')).toHaveLength(1);
    const [dead] = (await world.deadMessages()).data;
    expect(dead).toMatchObject({ attempt: 1, error: 'HTTP 422: "never"' });
  });

  test('of 413 that names no message costs an attempt, and the app is asked for its health again', async () => {
    const answer = { status: 413, body: 'too large', handled: null };
    expect(await requestsOf(answer)).toEqual(['health', 'attempt 1', 'health', 'attempt 2']);
  });

  test.each([400, 413, 500])(
    'of %i that names the message is of its handler: the attempt counts, and the app is not asked again',
    async (status) => {
      const answer = { status, body: '"refused"' };
      expect(await requestsOf(answer, answer)).toEqual([
        'health',
        'attempt 1',
        'attempt 2',
        'attempt 3',
      ]);
    },
  );
});

test('an app with a handler in this process for both kinds of queues is never asked', async () => {
  const { baseUrl, requests } = await serve(async () => OK);
  const world = newWorld({ delivery: 'auto', baseUrl });
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
  ['says that it has no such route', { status: 404, body: '' }],
  ['says nothing', 'none'],
])('an app that %s holds up no delivery within this process', async (_name, health) => {
  const { baseUrl, requests } = await serve(async () => OK, health);
  const world = newWorld({ delivery: 'auto', baseUrl });
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
  // Were the app asked before each of them, it would have been asked as often.
  expect(requests.length - before).toBeLessThan(30);
  expect(requests.filter((request) => request !== 'health')).toEqual([]);
});

const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);

describe('an app whose address our settings do not say', () => {
  const { PORT, WORKFLOW_LOCAL_BASE_URL } = process.env;
  let health: Answer;

  /** What the flow route of a compiled app says of its health. */
  async function healthOfFlow(): Promise<Answer> {
    const script = `
      const { buildWorkflows } = await import(process.argv[1]);
      const { createRequire } = await import('node:module');
      const flow = createRequire(process.argv[1])((await buildWorkflows(process.argv[2])) + '/flow.js');
      const url = 'http://localhost/.well-known/workflow/v1/flow?__health';
      const response = await flow.GET(new Request(url));
      console.log(JSON.stringify({ status: response.status, body: await response.text() }));
    `;
    const builder = pathToFileURL(join(ROOT, 'scripts', 'build-workflows.mjs')).href;
    const fixtures = join(ROOT, '__test__', 'fixtures');
    const { stdout } = await runNode(['--input-type=module', '-e', script, builder, fixtures]);
    return JSON.parse(stdout);
  }

  beforeAll(async () => {
    health = await healthOfFlow();
  }, BUILD_LIMIT_MS);
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

  test.each([{ WORKFLOW_LOCAL_BASE_URL: 'https://localhost:3000' }, { PORT: '\\\\.\\pipe\\app' }])(
    'is not waited for in vain when it cannot be reached by plain HTTP: %j',
    async (variables) => {
      Object.assign(process.env, variables);
      const refusal = expect.stringContaining('set WORKFLOW_HOOKLINE_BASE_URL to an http:// URL');
      const world = newWorld({ delivery: 'http' });
      await expect(world.start()).rejects.toMatchObject({ code: 'BAD_CONFIG', message: refusal });
      for (const delivery of ['direct', 'auto'] as const) await newWorld({ delivery }).start();
      await newWorld({ baseUrl: 'http://localhost:3000' }).start();
    },
  );

  test('is looked for when its port is any that is free', async () => {
    process.env.PORT = '0';
    const world = newWorld({ delivery: 'http' });
    await world.start();
    await world.queue(`${STEP_PREFIX}x`, { n: 1 });
    const { requests } = await serve(async () => OK, health);
    await until('the delivery', LIMIT_MS, () => requests.some((request) => request !== 'health'));
  });

  test.each(hasIpv6 ? ['127.0.0.1', '::1', '::'] : ['127.0.0.1'])(
    'is found among the servers of this process, on %s',
    async (host) => {
      const others = [
        await serve(async () => OK, { status: 404, body: '' }),
        await serve(async () => OK, OK),
        await serve(async () => OK, { status: 200, body: '<html></html>' }),
        await serve(async () => OK, { status: 200, body: '{"healthy":true}' }),
        await serve(async () => OK, { ...health, status: 503 }),
      ];
      const world = newWorld({ delivery: 'http' });
      await world.start();
      await world.queue(`${STEP_PREFIX}x`, { n: 1 });
      // The app is the last to listen, so what answers everything has had its chance.
      await until('all are asked', LIMIT_MS, () =>
        others.every(({ requests }) => requests.length > 0),
      );
      const { requests } = await serve(async () => OK, health, host);
      const asked = () => requests.filter((request) => request !== 'health');
      await until('the delivery', LIMIT_MS, () => asked().length === 1);
      await until('its end', LIMIT_MS, async () => (await world.stats()).messages.leased === 0);
      for (const other of others) expect(new Set(other.requests)).toEqual(new Set(['health']));
    },
  );
});

test('a handler that closes the socket, answers garbage or hangs is tried again, and holds up nobody', async () => {
  const deliveries: string[] = [];
  const { baseUrl } = await serve(async ({ body, headers }) => {
    const { way } = JSON.parse(body);
    const attempt = Number(headers[ATTEMPT]);
    deliveries.push(`${way} ${attempt}`);
    if (way === 'hang') await new Promise(() => undefined);
    if (attempt > 1 || way === 'fine') return OK;
    if (way === 'close') for (const server of servers) server.closeAllConnections();
    return { status: 200, body: '<html>' };
  });
  const world = newWorld({ delivery: 'http', baseUrl, concurrency: 4 });
  await world.start();
  for (const way of ['hang', 'garbage']) await world.queue(`${STEP_PREFIX}x`, { way });
  await until('the garbage', LIMIT_MS, () => deliveries.includes('garbage 2'));
  const busy = async () => (await world.stats()).deliveries.inFlight;
  await until('the hanging one alone', LIMIT_MS, async () => (await busy()) === 1);
  await world.queue(`${STEP_PREFIX}x`, { way: 'close' });
  await until('the closed one', LIMIT_MS, () => deliveries.includes('close 2'));
  await world.queue(`${STEP_PREFIX}x`, { way: 'fine' });
  await until('the fine one', LIMIT_MS, () => deliveries.includes('fine 1'));
  // Its connection was closed with the others, so it has been tried again, and hangs again.
  await until('the hanging one', LIMIT_MS, () => deliveries.includes('hang 2'));
  await until('the others', LIMIT_MS, async () => (await busy()) === 1);
  expect((await world.stats()).messages).toEqual({ due: 0, sleeping: 0, leased: 1, dead: 0 });
  for (const server of servers) server.closeAllConnections();
});

test('while connections break, the app is asked for its health before it is asked to run anything', async () => {
  const attempts: number[] = [];
  const { baseUrl, requests } = await serve(async ({ headers }) => {
    attempts.push(Number(headers[ATTEMPT]));
    if (attempts.length === 1) for (const server of servers) server.closeAllConnections();
    return OK;
  });
  const world = newWorld({ delivery: 'http', baseUrl });
  await world.start();
  await world.queue(`${STEP_PREFIX}x`, {});
  await until('the second delivery', LIMIT_MS, () => attempts.length === 2);
  // A handler may have run, so it counts.
  expect(attempts).toEqual([1, 2]);
  expect(requests.map((request) => request === 'health')).toEqual([true, false, true, false]);
});

describe.each(['direct', 'http'] as const)('delivered by way of %s', (delivery) => {
  test.each(['ENCRYPTION_KEY_MISSING', 'ENCRYPTION_KEY_WRONG'])(
    'a message that this process cannot deal with for %s costs no attempt and is kept',
    async (code) => {
      let route: (request: Request) => Promise<Response> = () => Promise.reject(new Error('none'));
      const { baseUrl } = await serve(async (asked) => answerOf(await route(forwarded(asked))));
      const url = newDatabase();
      const world = newWorld({ url, delivery, baseUrl });
      let calls = 0;
      route = world.createQueueHandler(FLOW_PREFIX, async () => {
        calls += 1;
        throw Object.assign(new Error('the key is not here'), { code });
      });
      await world.start();
      await world.queue(`${FLOW_PREFIX}w`, { runId: 'wrun_real' });
      await until(
        'its return',
        LIMIT_MS,
        async () => (await world.stats()).messages.sleeping === 1,
      );
      expect(calls).toBe(1);
      await world.close();
      expect(inspect(url)).toMatchObject({ attempts: [0] });
    },
  );
});

test("the caller's own headers arrive, but for those that are the delivery's", async () => {
  const { baseUrl, requests } = await serve(async () => OK);
  const world = newWorld({ delivery: 'http', baseUrl });
  await world.start();
  const forged = {
    'x-vqs-queue-name': `${STEP_PREFIX}forged`,
    'X-VQS-Message-Id': 'msg_forged',
    'x-vqs-message-attempt': '49',
    'X-Hookline-Lease': 'forged',
    'content-type': 'text/forged',
    'content-length': '1',
    host: 'forged.example',
  };
  const own = {
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    baggage: 'a=b',
  };
  const { messageId } = await world.queue(
    `${STEP_PREFIX}x`,
    { n: 1 },
    { headers: { ...own, ...forged } },
  );
  const asked = () => requests.filter((request) => request !== 'health');
  await until('the delivery', LIMIT_MS, () => asked().length === 1);
  const [{ path, headers, body }] = asked() as [Asked];
  expect({ path, body }).toEqual({ path: '/.well-known/workflow/v1/step', body: '{"n":1}' });
  expect(headers).toMatchObject({
    ...own,
    'x-vqs-queue-name': `${STEP_PREFIX}x`,
    'x-vqs-message-id': messageId,
    'x-vqs-message-attempt': '1',
    'content-type': 'application/json',
    'content-length': '7',
    host: baseUrl.slice('http://'.length),
  });
  expect(headers['x-hookline-lease']).toMatch(/.{16}/);
  expect(JSON.stringify(headers)).not.toContain('forged');
});

describe('a request with the lease of a live delivery', () => {
  /** Sends requests to a World's own route while a delivery of it lives; what ran, and the answers. */
  async function during(requestsFor: (asked: Asked) => Request[]) {
    const seen: object[] = [];
    const statuses: number[] = [];
    let over = false;
    let route: (request: Request) => Promise<Response> = () => Promise.reject(new Error('none'));
    const { baseUrl } = await serve(async (asked) => {
      for (const request of requestsFor(asked)) statuses.push((await route(request)).status);
      const genuine = await answerOf(await route(forwarded(asked)));
      over = true;
      return genuine;
    });
    const world = newWorld({ delivery: 'http', baseUrl });
    route = world.createQueueHandler(FLOW_PREFIX, async (message, { attempt, queueName }) => {
      seen.push({ message, attempt, queueName });
    });
    await world.start();
    await world.queue(`${FLOW_PREFIX}w`, { runId: 'wrun_real', input: new Uint8Array([7]) });
    await until('the delivery', LIMIT_MS, () => over);
    return { seen, statuses };
  }

  const GENUINE = {
    message: { runId: 'wrun_real', input: new Uint8Array([7]) },
    attempt: 1,
    queueName: `${FLOW_PREFIX}w`,
  };

  test('runs its handler once, with the stored message, whatever its body says', async () => {
    const { seen, statuses } = await during((asked) => [
      forwarded({ ...asked, body: '{"runId":"wrun_victim"}' }),
      forwarded({ ...asked, body: 'no JSON' }),
      forwarded(asked),
    ]);
    expect(statuses).toEqual([200, 409, 409]);
    expect(seen).toEqual([GENUINE]);
  });

  test('waits for an earlier delivery of the same run, which still runs though its caller has gone', async () => {
    const seen: number[] = [];
    let running = 0;
    let finish = () => {};
    const finished = new Promise<void>((done) => (finish = done));
    let route: (request: Request) => Promise<Response> = () => Promise.reject(new Error('none'));
    const statuses: number[] = [];
    // A proxy that gives up on the first request, whose handler goes on.
    const { baseUrl } = await serve(async (asked) => {
      if (seen.length === 0) {
        const lost = route(forwarded(asked));
        await until('the handler', LIMIT_MS, () => seen.length === 1);
        lost.catch(() => undefined);
        return { status: 504, body: 'the proxy has waited long enough', handled: null };
      }
      const response = await route(forwarded(asked));
      statuses.push(response.status);
      if (response.status === 503) finish();
      return answerOf(response);
    });
    const world = newWorld({ delivery: 'http', baseUrl });
    route = world.createQueueHandler(FLOW_PREFIX, async (_message, { attempt }) => {
      running += 1;
      expect(running).toBe(1);
      seen.push(attempt);
      await finished;
      running -= 1;
    });
    await world.start();
    await world.queue(`${FLOW_PREFIX}w`, { runId: 'wrun_real' });
    await until('the second delivery', LIMIT_MS, () => seen.length === 2);
    expect(statuses[0]).toBe(503);
    await until('its end', LIMIT_MS, async () => (await world.stats()).messages.leased === 0);
    expect(statuses.at(-1)).toBe(200);
    // Neither the lost answer nor the refused delivery was an attempt.
    expect(seen).toEqual([1, 1]);
  });

  test('but another attempt, queue or message is answered 401, and nothing runs', async () => {
    const { seen, statuses } = await during((asked) => [
      forwarded(asked, { [ATTEMPT]: '2' }),
      forwarded(asked, { [ATTEMPT]: '49' }),
      forwarded(asked, { 'x-vqs-queue-name': `${FLOW_PREFIX}other` }),
      forwarded(asked, { 'x-vqs-message-id': 'msg_1' }),
      forwarded(asked, { 'x-hookline-lease': `${asked.headers['x-hookline-lease']}0` }),
    ]);
    expect(statuses).toEqual([401, 401, 401, 401, 401]);
    expect(seen).toEqual([GENUINE]);
  });
});
