/** Deliveries over HTTP: what they carry, and which request runs a handler. */
import { BUILD_LIMIT_MS, buildInspector, inspect, until } from './crash/harness';
import {
  type Asked,
  ATTEMPT,
  answerOf,
  closeApps,
  type During,
  FLOW_PREFIX,
  forwarded,
  inAnotherProcess,
  LIMIT_MS,
  newWorldWithApp,
  OK,
  PROOF,
  STEP_PREFIX,
  serve,
  servers,
} from './http-app';
import { cleanUp, devalue, eventTypes, newDatabase, newRun } from './support';

beforeAll(buildInspector, BUILD_LIMIT_MS);
afterEach(cleanUp);
afterEach(closeApps);

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
  // On a busy machine a challenge may come twice.
  const isChallenge = requests.map((request) => request === 'challenge');
  const turns = isChallenge.filter((now, i) => now !== isChallenge[i - 1]);
  expect(turns).toEqual([true, false, true, false]);
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
