import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cleanUp, newDatabase, newRun, newWorld, ROOT, runNode } from './support';

afterEach(cleanUp);
afterEach(() => {
  delete process.env.WORKFLOW_QUEUE_NAMESPACE;
  delete process.env.WORKFLOW_HOOKLINE_DEPLOYMENT_ID;
});

const PREFIX = '__wkf_workflow_';
const HEADERS = {
  'x-vqs-queue-name': `${PREFIX}w`,
  'x-vqs-message-id': 'msg_1',
  'x-vqs-message-attempt': '1',
  'x-hookline-proof': 'no proof',
};

function post(headers: Record<string, string>, body: string | null = '{}'): Request {
  return new Request('http://localhost/.well-known/workflow/v1/flow', {
    method: 'POST',
    headers,
    body,
  });
}

function without(name: keyof typeof HEADERS): Record<string, string> {
  const { [name]: _, ...rest } = HEADERS;
  return rest;
}

/** A handler that records its messages, and a promise of the next message. */
function recorder(result?: { timeoutSeconds: number }) {
  const seen: { message: unknown; attempt: number; queueName: string; messageId: string }[] = [];
  const waiting: (() => void)[] = [];
  const handler = async (message: unknown, meta: Omit<(typeof seen)[number], 'message'>) => {
    seen.push({ message, ...meta });
    waiting.shift()?.();
    return seen.length === 1 ? result : undefined;
  };
  const count = async (n: number) => {
    while (seen.length < n) await new Promise<void>((resolve) => waiting.push(resolve));
    return seen;
  };
  return { seen, handler, count };
}

test('a request without a body or a header is answered 400, and nothing runs', async () => {
  const { seen, handler } = recorder();
  const route = newWorld().createQueueHandler(PREFIX, handler);
  const requests = [
    post(HEADERS, null),
    post(without('x-vqs-queue-name')),
    post(without('x-vqs-message-id')),
    post(without('x-vqs-message-attempt')),
    post({ ...HEADERS, 'x-vqs-message-attempt': 'first' }),
    post({ ...HEADERS, 'x-vqs-message-attempt': '0' }),
    post({ ...HEADERS, 'x-vqs-queue-name': '__wkf_step_s' }),
  ];
  for (const request of requests) {
    const response = await route(request);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ error: expect.any(String) });
  }
  expect(seen).toEqual([]);
});

test('a request that is not of a live delivery is answered 401, and nothing runs', async () => {
  const { seen, handler } = recorder();
  const route = newWorld().createQueueHandler(PREFIX, handler);
  for (const request of [post(HEADERS), post(without('x-hookline-proof'))]) {
    const response = await route(request);
    expect(response.status).toBe(401);
    expect(await response.json()).toEqual({ error: expect.any(String) });
  }
  expect(seen).toEqual([]);
});

test('a delivery that cannot be verified is answered 503, and not told why', async () => {
  const { seen, handler } = recorder();
  const route = newWorld({ durability: 'sometimes' as never }).createQueueHandler(PREFIX, handler);
  const response = await route(post(HEADERS));
  expect(response.status).toBe(503);
  expect(JSON.stringify(await response.json())).not.toMatch(/DURABILITY|hookline/i);
  expect(seen).toEqual([]);
});

test('a message reaches the handler of this process, bytes and all', async () => {
  const world = newWorld({ delivery: 'direct' });
  const { handler, count } = recorder();
  world.createQueueHandler(PREFIX, handler);
  await world.start();
  const message = { __healthCheck: true, correlationId: 'c', input: new Uint8Array([1, 2]) };
  const { messageId } = await world.queue(`${PREFIX}w`, message);
  expect(await count(1)).toEqual([{ message, attempt: 1, queueName: `${PREFIX}w`, messageId }]);
});

test('a handler of one World is found by the dispatcher of another, also when it comes later', async () => {
  const url = newDatabase();
  const [started, other] = [newWorld({ url, delivery: 'direct' }), newWorld({ url })];
  await started.start();
  const { handler, count } = recorder();
  other.createQueueHandler(PREFIX, handler);
  await started.queue(`${PREFIX}w`, { __healthCheck: true, correlationId: 'c' });
  expect(await count(1)).toHaveLength(1);
});

test('a World does not deliver to the handler of a World on another database', async () => {
  const [one, other] = [newWorld({ delivery: 'direct' }), newWorld({ delivery: 'direct' })];
  const [mine, foreign] = [recorder(), recorder()];
  one.createQueueHandler(PREFIX, mine.handler);
  other.createQueueHandler(PREFIX, foreign.handler);
  await one.start();
  await one.queue(`${PREFIX}w`, { __healthCheck: true, correlationId: 'c' });
  await mine.count(1);
  expect(foreign.seen).toEqual([]);
});

test('a handler that asks for its message again gets the same one, as the next attempt', async () => {
  const world = newWorld({ delivery: 'direct' });
  const { handler, count } = recorder({ timeoutSeconds: 0 });
  world.createQueueHandler(PREFIX, handler);
  await world.start();
  await world.queue(`${PREFIX}w`, { __healthCheck: true, correlationId: 'c' });
  const [first, second] = await count(2);
  expect(second?.messageId).toBe(first?.messageId);
});

test('a message is not delivered unless start() ran', async () => {
  const world = newWorld({ delivery: 'direct' });
  const { seen, handler, count } = recorder();
  world.createQueueHandler(PREFIX, handler);
  await world.queue(`${PREFIX}w`, { __healthCheck: true, correlationId: 'c' });
  await world.runs.list();
  expect(seen).toEqual([]);
  await world.start();
  await count(1);
});

test('a step is enqueued in the namespace that its handler listens on', async () => {
  process.env.WORKFLOW_QUEUE_NAMESPACE = 'custom';
  const world = newWorld({ delivery: 'direct' });
  const { handler, count } = recorder();
  world.createQueueHandler('__custom_wkf_step_', handler);
  await world.start();
  await world.queue('__wkf_step_s', { __healthCheck: true, correlationId: 'c' });
  expect((await count(1))[0]?.queueName).toBe('__custom_wkf_step_s');
});

test('a database has one namespace: who has another could wake nobody, and is refused', async () => {
  process.env.WORKFLOW_QUEUE_NAMESPACE = 'custom';
  const url = newDatabase();
  await newRun(newWorld({ url }));
  await newWorld({ url, role: 'producer' }).runs.list();
  delete process.env.WORKFLOW_QUEUE_NAMESPACE;
  const elsewhere = `
    const { createWorld } = require('hookline');
    const list = (role) => createWorld({ url: process.argv[1], role }).runs.list();
    const outcomes = ['producer', 'worker', 'reader'].map((role) =>
      list(role).then(({ data }) => data.length, ({ code, message }) => [code, message]),
    );
    Promise.all(outcomes).then((all) => console.log(JSON.stringify(all)));
  `;
  const { stdout } = await runNode(['-e', elsewhere, url], { cwd: ROOT });
  const refused = ['BAD_CONFIG', expect.stringMatching(/NAMESPACE.*"__custom_wkf_workflow_"/)];
  expect(JSON.parse(stdout)).toEqual([refused, refused, 1]);
});

test('one idempotency key is one message while it is queued', async () => {
  const world = newWorld();
  const options = { idempotencyKey: 'step_1' };
  const message = { workflowName: 'w', workflowRunId: 'r', workflowStartedAt: 1, stepId: 'step_1' };
  const [a, b] = [
    await world.queue('__wkf_step_s', message, options),
    await world.queue('__wkf_step_s', message, options),
  ];
  expect(a.messageId).toBe(b.messageId);
});

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** An app whose flow route is this handler; returns its address, its requests and its answers. */
async function serve(route: (request: Request) => Promise<Response>) {
  const seen: { path: string; headers: Record<string, string>; body: string; status: number }[] =
    [];
  const server = createServer(async (incoming, outgoing) => {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part);
    const body = Buffer.concat(parts).toString();
    const headers = incoming.headers as Record<string, string>;
    const response = await route(post(headers, body));
    const { status } = response;
    const isDelivery = headers['x-hookline-challenge'] === undefined;
    if (isDelivery) seen.push({ path: incoming.url as string, headers, body, status });
    const answered = Object.fromEntries(response.headers);
    outgoing.writeHead(response.status, answered).end(await response.text());
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

test('a delivery over HTTP proves itself by its lease, and only while it lives', async () => {
  let route: (request: Request) => Promise<Response> = async () => new Response(null);
  const { baseUrl, seen } = await serve((request) => route(request));
  const world = newWorld({ delivery: 'http', baseUrl });
  const { seen: handled, handler, count } = recorder();
  route = world.createQueueHandler(PREFIX, handler);
  await world.start();
  const message = { __healthCheck: true, correlationId: 'c', input: new Uint8Array([1]) };
  const { messageId } = await world.queue(`${PREFIX}w`, message);
  await count(1);
  while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(handled).toEqual([{ message, attempt: 1, queueName: `${PREFIX}w`, messageId }]);
  const [delivery] = seen as [(typeof seen)[number]];
  expect(delivery).toMatchObject({ path: '/.well-known/workflow/v1/flow', status: 200 });
  let again: Response;
  // The delivery counts as taken until its end has been written.
  do again = await route(post(delivery.headers, delivery.body));
  while (again.status === 409);
  expect(again.status).toBe(401);
  expect(handled).toHaveLength(1);
});

test('a handler that throws is answered 500 with its error as a JSON text', async () => {
  let route: (request: Request) => Promise<Response> = async () => new Response(null);
  const bodies: string[] = [];
  const { baseUrl } = await serve(async (request) => {
    const response = await route(request);
    if (request.headers.has('x-hookline-challenge')) return response;
    bodies.push(`${response.status} ${await response.clone().text()}`);
    return response;
  });
  const world = newWorld({ delivery: 'http', baseUrl });
  route = world.createQueueHandler(PREFIX, async () => {
    throw new Error('broken');
  });
  await world.start();
  await world.queue(`${PREFIX}w`, { __healthCheck: true, correlationId: 'c' });
  while (bodies.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(bodies[0]).toBe('500 "Error: broken"');
});

test('a malformed queue name, delay or message is refused with status 400', async () => {
  const world = newWorld();
  const bad = { name: 'WorkflowWorldError', status: 400 };
  await expect(world.queue('jobs', {})).rejects.toMatchObject(bad);
  await expect(world.queue(`${PREFIX}w`, undefined)).rejects.toMatchObject(bad);
  await expect(world.queue(`${PREFIX}w`, {}, { delaySeconds: -1 })).rejects.toMatchObject(bad);
  await expect(world.queue(`${PREFIX}w`, {}, { delaySeconds: Number.NaN })).rejects.toMatchObject(
    bad,
  );
});

test('the deployment id is the same for every World, unless the environment sets one', async () => {
  expect(await newWorld().getDeploymentId()).toBe('dpl_hookline');
  process.env.WORKFLOW_HOOKLINE_DEPLOYMENT_ID = 'dpl_blue';
  expect(await newWorld().getDeploymentId()).toBe('dpl_blue');
});

test('messages of a batch are enqueued together, each with its own outcome', async () => {
  const world = newWorld();
  const { handler, count } = recorder();
  world.createQueueHandler(PREFIX, handler);
  const results = await world.queueBatch(`${PREFIX}w`, [
    { message: { n: 1 }, opts: { idempotencyKey: 'one' } },
    { message: undefined },
    { message: { n: 2 }, opts: { delaySeconds: -1 } },
    { message: { n: 'é' } },
    { message: { n: 4 }, opts: { idempotencyKey: 'one' } },
  ]);
  const refused = { messageId: null, error: expect.any(String), retryable: false };
  expect(results.slice(1, 3)).toEqual([refused, refused]);
  expect(results[4]).toEqual(results[0]);
  await world.start();
  const seen = await count(2);
  expect(seen.map(({ message }) => message)).toEqual([{ n: 1 }, { n: 'é' }]);
  expect(seen.map(({ messageId }) => ({ messageId }))).toEqual([results[0], results[3]]);
  expect(await world.queueBatch(`${PREFIX}w`, [])).toEqual([]);
  await expect(world.queueBatch('other', [])).rejects.toThrow(/queue name/);
  await expect(world.queueBatch(`${PREFIX}w`, {} as never)).rejects.toThrow(/list/);
});

test('a World says that it routes releases exactly when its process has one', async () => {
  const world = newWorld();
  expect(world.capabilities?.deploymentAffinity).toBe(false);
  expect([world.resolveLatestDeploymentId, world.isDeploymentUnavailableError]).toEqual([
    undefined,
    undefined,
  ]);
  process.env.WORKFLOW_HOOKLINE_DEPLOYMENT_ID = 'a';
  expect(world.capabilities?.deploymentAffinity).toBe(true);
  const error = Object.assign(new Error('gone'), {
    name: 'WorkflowWorldError',
    code: 'RELEASE_GONE',
  });
  expect(world.isDeploymentUnavailableError?.(error)).toBe(true);
  for (const other of [new Error('gone'), undefined, 'RELEASE_GONE']) {
    expect(world.isDeploymentUnavailableError?.(other)).toBe(false);
  }
  expect(await world.resolveLatestDeploymentId?.()).toBe('a');
});
