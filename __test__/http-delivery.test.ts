/**
 * Deliveries over HTTP: what they carry, what their answers mean, and when the app is challenged.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { World, WorldOptions } from 'hookline';
import { BUILD_LIMIT_MS, buildInspector, inspect, until } from './crash/harness';
import { proofsOf } from './proofs';
import { cleanUp, devalue, eventTypes, newDatabase, newRun, newWorld, runNode } from './support';

const FLOW_PREFIX = '__wkf_workflow_';
const STEP_PREFIX = '__wkf_step_';
const ATTEMPT = 'x-vqs-message-attempt';
const HANDLED = 'x-hookline-handled';
const PROOF = 'x-hookline-proof';
const CHALLENGE = 'x-hookline-challenge';
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

/** The answer of the app, and its proof; the default proof is right. */
type Answer = { status: number; body: string; handled?: string | null };

const OK = { status: 200, body: '{"ok":true}' };

let proofs: ReturnType<typeof proofsOf>;

/** A World; the apps of the test have its database too. */
function newWorldWithApp(options: WorldOptions = {}): World {
  const url = typeof options.url === 'string' ? options.url : newDatabase();
  proofs = proofsOf(url);
  return newWorld({ ...options, url });
}

/** An app; `requests` are its requests in order, a challenge as `'challenge'`. */
async function serve(
  answer: (asked: Asked) => Promise<Answer>,
  challenged: Answer | 'none' = OK,
  host = '127.0.0.1',
  port = 0,
) {
  const requests: ('challenge' | Asked)[] = [];
  const server = createServer(async (incoming, outgoing) => {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part);
    const headers = incoming.headers as Record<string, string>;
    const asked = { path: incoming.url as string, headers, body: Buffer.concat(parts).toString() };
    const challenge = headers[CHALLENGE];
    requests.push(challenge ? 'challenge' : asked);
    const answered = challenge ? challenged : await answer(asked);
    if (answered === 'none') return;
    const { status, body } = answered;
    const right = () =>
      challenge ? proofs.ofApp(challenge) : proofs.ofAnswer(headers[PROOF] as string, status, body);
    const handled = answered.handled === undefined ? right() : answered.handled;
    outgoing.writeHead(status, handled ? { [HANDLED]: handled } : {}).end(body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const { port: listening } = server.address() as AddressInfo;
  return { baseUrl: `http://127.0.0.1:${listening}`, requests, port: listening };
}

/** Further actions during a delivery. */
interface During {
  url?: string;
  /** Runs while the handler runs. */
  meanwhile?: (asked: Asked) => Promise<void>;
  /** Runs before the answer is sent. */
  afterwards?: (asked: Asked) => Promise<void>;
}

/**
 * Sends a request to the route of a second process on the database; returns the status, and the
 * handlers that ran.
 */
async function inAnotherProcess(url: string, { headers, body }: Asked): Promise<string> {
  const script = `
    const { createWorld } = require('hookline');
    const [url, prefix, headers, body] = JSON.parse(process.argv[1]);
    const world = createWorld({ url });
    const route = world.createQueueHandler(prefix, async () => console.log('ran'));
    const request = new Request('http://localhost/', { method: 'POST', headers, body });
    route(request).then((response) => {
      console.log(response.status);
      return world.close();
    });
  `;
  const input = JSON.stringify([url, FLOW_PREFIX, headers, body]);
  const { stdout, stderr } = await runNode(['-e', script, input]);
  return stdout.trim() + stderr;
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
  /**
   * The requests for a message whose first deliveries get these answers, and whose last is
   * accepted.
   */
  async function requestsOf(...answers: Answer[]): Promise<string[]> {
    const url = newDatabase();
    const deliveries = answers.length + 1;
    const { baseUrl, requests } = await serve(async () => answers.shift() ?? OK);
    const world = newWorldWithApp({ url, delivery: 'http', baseUrl });
    await world.start();
    await world.queue(`${STEP_PREFIX}x`, { n: 1 });
    const asked = () => requests.filter((request) => request !== 'challenge');
    await until('all deliveries', LIMIT_MS, () => asked().length === deliveries);
    await world.close();
    expect(inspect(url).messages).toBe(0);
    return requests.map((request) =>
      request === 'challenge' ? 'challenge' : `attempt ${request.headers[ATTEMPT]}`,
    );
  }

  test.each([200, 401, 404, 502, 503])(
    'of %i that proves nothing is of no handler: the attempt does not count, and the app is challenged again',
    async (status) => {
      const answer = {
        status,
        body: '{"error":"of a proxy, or of another program"}',
        handled: null,
      };
      expect(await requestsOf(answer, answer)).toEqual([
        'challenge',
        'attempt 1',
        'challenge',
        'attempt 1',
        'challenge',
        'attempt 1',
      ]);
    },
  );

  test('of 422 of the handler says that it will never do it: the message is given up', async () => {
    const answer = { status: 422, body: '"never"' };
    const { baseUrl, requests } = await serve(async () => answer);
    const world = newWorldWithApp({ delivery: 'http', baseUrl });
    await world.start();
    await world.queue(`${STEP_PREFIX}x`, { n: 1 });
    await until('the end', LIMIT_MS, async () => (await world.stats()).messages.dead === 1);
    expect(requests.filter((request) => request !== 'challenge')).toHaveLength(1);
    const [dead] = (await world.deadMessages()).data;
    expect(dead).toMatchObject({ attempt: 1, error: 'HTTP 422: "never"' });
  });

  test('of 413 that proves nothing costs an attempt, and the app is challenged again', async () => {
    const answer = { status: 413, body: 'too large', handled: null };
    expect(await requestsOf(answer)).toEqual(['challenge', 'attempt 1', 'challenge', 'attempt 2']);
  });

  test.each([400, 413, 500])(
    'of %i that proves to be of its handler counts as an attempt, and the app is not asked again',
    async (status) => {
      const answer = { status, body: '"refused"' };
      expect(await requestsOf(answer, answer)).toEqual([
        'challenge',
        'attempt 1',
        'attempt 2',
        'attempt 3',
      ]);
    },
  );
});

describe('a message is not gone by an answer', () => {
  /**
   * Delivers one message to an app that answers with these proofs first, and then with the right
   * one.
   */
  async function attemptsFor(handled: (asked: Asked) => (string | undefined)[]) {
    const url = newDatabase();
    const attempts: string[] = [];
    const { baseUrl } = await serve(async (asked) => {
      const proof = handled(asked)[attempts.length];
      attempts.push(asked.headers[ATTEMPT] as string);
      return { ...OK, handled: proof };
    });
    const world = newWorldWithApp({ url, delivery: 'http', baseUrl });
    await world.start();
    await world.queue(`${STEP_PREFIX}x`, { n: 1 });
    await until('its end', LIMIT_MS, async () => {
      const { messages } = await world.stats();
      return messages.due + messages.sleeping + messages.leased === 0;
    });
    await world.close();
    return attempts;
  }

  test('that is forged: it costs an attempt, because a handler may have run', async () => {
    const forged = ({ headers }: Asked) => ['forged', headers['x-vqs-message-id'], headers[PROOF]];
    expect(await attemptsFor(forged)).toEqual(['1', '2', '3', '4']);
  });

  test('that was the right one to an earlier delivery', async () => {
    const first: string[] = [];
    const replayed = ({ headers }: Asked) => {
      first.push(proofs.ofAnswer(headers[PROOF] as string, OK.status, OK.body));
      return ['', first[0]];
    };
    expect(await attemptsFor(replayed)).toEqual(['1', '1', '2']);
  });

  test('that was the right one to a challenge', async () => {
    const ofChallenge = ({ headers }: Asked) => [proofs.ofApp(headers[PROOF] as string)];
    expect(await attemptsFor(ofChallenge)).toEqual(['1', '2']);
  });

  test('whose body or status somebody has changed', async () => {
    const ofOthers = ({ headers }: Asked) => [
      proofs.ofAnswer(headers[PROOF] as string, OK.status, '{"timeoutSeconds":9}'),
      proofs.ofAnswer(headers[PROOF] as string, 500, OK.body),
    ];
    expect(await attemptsFor(ofOthers)).toEqual(['1', '2', '3']);
  });
});

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
  const world = newWorldWithApp({ delivery: 'http', baseUrl, concurrency: 4 });
  await world.start();
  for (const way of ['hang', 'garbage']) await world.queue(`${STEP_PREFIX}x`, { way });
  await until('the garbage', LIMIT_MS, () => deliveries.includes('garbage 2'));
  const busy = async () => (await world.stats()).deliveries.inFlight;
  await until('the hanging one alone', LIMIT_MS, async () => (await busy()) === 1);
  await world.queue(`${STEP_PREFIX}x`, { way: 'close' });
  await until('the closed one', LIMIT_MS, () => deliveries.includes('close 2'));
  await world.queue(`${STEP_PREFIX}x`, { way: 'fine' });
  await until('the fine one', LIMIT_MS, () => deliveries.includes('fine 1'));
  // Its connection was closed with the others, so the delivery was repeated, and hangs again.
  await until('the hanging one', LIMIT_MS, () => deliveries.includes('hang 2'));
  await until('the others', LIMIT_MS, async () => (await busy()) === 1);
  expect((await world.stats()).messages).toEqual({
    due: 0,
    sleeping: 0,
    leased: 1,
    dead: 0,
    held: 0,
    parked: 0,
  });
  for (const server of servers) server.closeAllConnections();
});

test('while connections break, the app is challenged before it is asked to run anything', async () => {
  const attempts: number[] = [];
  const { baseUrl, requests } = await serve(async ({ headers }) => {
    attempts.push(Number(headers[ATTEMPT]));
    if (attempts.length === 1) for (const server of servers) server.closeAllConnections();
    return OK;
  });
  const world = newWorldWithApp({ delivery: 'http', baseUrl });
  await world.start();
  await world.queue(`${STEP_PREFIX}x`, {});
  await until('the second delivery', LIMIT_MS, () => attempts.length === 2);
  // A handler may have run, so the attempt counts.
  expect(attempts).toEqual([1, 2]);
  expect(requests.map((request) => request === 'challenge')).toEqual([true, false, true, false]);
});

describe.each(['direct', 'http'] as const)('delivered by way of %s', (delivery) => {
  test.each(['ENCRYPTION_KEY_MISSING', 'ENCRYPTION_KEY_WRONG'])(
    'a message that this process cannot deal with for %s costs no attempt and is kept',
    async (code) => {
      let route: (request: Request) => Promise<Response> = () => Promise.reject(new Error('none'));
      const { baseUrl } = await serve(async (asked) => answerOf(await route(forwarded(asked))));
      const url = newDatabase();
      const world = newWorldWithApp({ url, delivery, baseUrl });
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
  const world = newWorldWithApp({ delivery: 'http', baseUrl });
  await world.start();
  const forged = {
    'x-vqs-queue-name': `${STEP_PREFIX}forged`,
    'X-VQS-Message-Id': 'msg_forged',
    'x-vqs-message-attempt': '49',
    'X-Hookline-Proof': 'forged',
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
  const asked = () => requests.filter((request) => request !== 'challenge');
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
  expect(headers[PROOF]).toMatch(/^[\w-]{43}$/);
  expect(JSON.stringify(headers)).not.toContain('forged');
});

describe('a request with the lease of a live delivery', () => {
  /**
   * Sends requests to a World's own route during a delivery; returns the handlers that ran, and the
   * answers.
   */
  async function during(
    requestsFor: (asked: Asked) => Request[],
    { url = newDatabase(), meanwhile, afterwards }: During = {},
  ) {
    const seen: object[] = [];
    const statuses: number[] = [];
    let over = false;
    let current: Asked | undefined;
    let route: (request: Request) => Promise<Response> = () => Promise.reject(new Error('none'));
    const { baseUrl } = await serve(async (asked) => {
      for (const request of requestsFor(asked)) statuses.push((await route(request)).status);
      current = asked;
      const genuine = await answerOf(await route(forwarded(asked)));
      await afterwards?.(asked);
      over = true;
      return genuine;
    });
    const world = newWorldWithApp({ url, delivery: 'http', baseUrl });
    route = world.createQueueHandler(FLOW_PREFIX, async (message, { attempt, queueName }) => {
      seen.push({ message, attempt, queueName });
      if (current) await meanwhile?.(current);
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
    // A proxy gives up on the first request, and the handler continues.
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
    const world = newWorldWithApp({ delivery: 'http', baseUrl });
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

  test('is joined by a later delivery of the same step, which then writes under the new lease', async () => {
    const seen: number[] = [];
    let route: (request: Request) => Promise<Response> = () => Promise.reject(new Error('none'));
    let requests = 0;
    const { baseUrl } = await serve(async (asked) => {
      requests += 1;
      const isFirst = requests === 1;
      const response = route(forwarded(asked));
      if (isFirst) {
        // A proxy gives up on the request, and the handler continues.
        response.catch(() => undefined);
        await until('the handler', LIMIT_MS, () => seen.length === 1);
        return { status: 504, body: 'the proxy has waited long enough', handled: null };
      }
      return answerOf(await response);
    });
    const world = newWorldWithApp({ delivery: 'http', baseUrl });
    const runId = await newRun(world);
    const step = { specVersion: 3, correlationId: 'step_1' };
    const stepName = 's';
    route = world.createQueueHandler(STEP_PREFIX, async (_message, { attempt }) => {
      seen.push(attempt);
      const complete = () =>
        world.events.create(runId, {
          ...step,
          eventType: 'step_completed',
          eventData: { result: devalue('[1]') },
        });
      // By then its lease is lost; the handler has another one after the second request has joined
      // it.
      await until('the second request', LIMIT_MS, () => requests === 2);
      await until('its result is taken', LIMIT_MS, async () =>
        complete().then(
          () => true,
          ({ code }) => {
            expect(code).toBe('LEASE_LOST');
            return false;
          },
        ),
      );
    });
    await world.events.create(runId, {
      ...step,
      eventType: 'step_created',
      eventData: { stepName, input: devalue('[[]]') },
    });
    await world.events.create(runId, { ...step, eventType: 'step_started' });
    await world.start();
    await world.queue(`${STEP_PREFIX}${stepName}`, { workflowRunId: runId, stepId: 'step_1' });
    await until('the result', LIMIT_MS, async () =>
      (await eventTypes(world, runId)).includes('step_completed'),
    );
    expect(seen).toEqual([1]);
  });

  test('runs nothing in a second process of the app, where it is repeated', async () => {
    const url = newDatabase();
    const statuses: string[] = [];
    const { seen } = await during(() => [], {
      url,
      afterwards: async (asked) => {
        statuses.push(await inAnotherProcess(url, asked));
      },
      meanwhile: async (asked) => {
        statuses.push(await inAnotherProcess(url, asked));
      },
    });
    expect(seen).toEqual([GENUINE]);
    expect(statuses).toEqual(['409', '409']);
  });

  test('but another attempt, queue or message is answered 401, and nothing runs', async () => {
    const { seen, statuses } = await during((asked) => [
      forwarded(asked, { [ATTEMPT]: '2' }),
      forwarded(asked, { [ATTEMPT]: '49' }),
      forwarded(asked, { 'x-vqs-queue-name': `${FLOW_PREFIX}other` }),
      forwarded(asked, { 'x-vqs-message-id': 'msg_1' }),
      forwarded(asked, { [PROOF]: `${asked.headers[PROOF]?.slice(1)}0` }),
    ]);
    expect(statuses).toEqual([401, 401, 401, 401, 401]);
    expect(seen).toEqual([GENUINE]);
  });
});
