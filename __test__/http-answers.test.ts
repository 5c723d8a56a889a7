/**
 * What the answers to deliveries over HTTP mean: which is the end of a message, and which is of no handler.
 */
import { BUILD_LIMIT_MS, buildInspector, inspect, until } from './crash/harness';
import {
  type Answer,
  type Asked,
  ATTEMPT,
  closeApps,
  LIMIT_MS,
  newWorldWithApp,
  OK,
  PROOF,
  proofs,
  STEP_PREFIX,
  serve,
  servers,
} from './http-app';
import { cleanUp, newDatabase } from './support';

beforeAll(buildInspector, BUILD_LIMIT_MS);
afterEach(cleanUp);
afterEach(closeApps);

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
