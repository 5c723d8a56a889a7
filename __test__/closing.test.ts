/** Deliveries in flight while their World closes. */
import type { EventRequestType } from 'hookline';
import { BUILD_LIMIT_MS, buildInspector, inspect, pause, until } from './crash/harness';
import { cleanUp, devalue, eventTypes, newDatabase, newRun, newWorld } from './support';

const FLOW = '__wkf_workflow_workflow//./a//b';
const FLOW_PREFIX = '__wkf_workflow_';
const STEP_PREFIX = '__wkf_step_';
const LIMIT_MS = 10_000;

beforeAll(buildInspector, BUILD_LIMIT_MS);
afterEach(cleanUp);

/** A promise that a test opens. */
function newGate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

test('a step that is at work while its World closes is completed, and not executed again', async () => {
  const url = newDatabase();
  const world = newWorld({ url, delivery: 'direct' });
  const runId = await newRun(world);
  const event = (eventType: EventRequestType, eventData?: object) =>
    world.events.create(runId, { eventType, specVersion: 3, correlationId: 's', eventData });
  await event('step_created', { stepName: 'x', input: devalue('[[]]') });
  const { opened, open } = newGate();
  let executions = 0;
  let completion: unknown;
  world.createQueueHandler(STEP_PREFIX, async () => {
    executions += 1;
    await event('step_started');
    await opened;
    completion = await event('step_completed', { result: devalue('[1]') }).catch((error) => error);
  });
  await world.start();
  await world.queue(`${STEP_PREFIX}x`, { stepId: 's' });
  await until('the step begins', LIMIT_MS, () => executions === 1);
  const closing = world.close();
  await pause(50);
  open();
  await closing;
  expect(completion).toMatchObject({ step: { status: 'completed' } });
  const { messages, queued } = inspect(url);
  // Only the wake-up of the completion is left.
  expect([executions, messages, queued]).toEqual([1, 1, { [runId]: 1 }]);
  const types = await eventTypes(newWorld({ url }), runId);
  expect(types.slice(-2)).toEqual(['step_started', 'step_completed']);
});

test('a World that closes takes no delivery more, and the next World gets it at once', async () => {
  const url = newDatabase();
  const [closed, next] = [
    newWorld({ url, delivery: 'direct' }),
    newWorld({ url, delivery: 'direct' }),
  ];
  const { opened, open } = newGate();
  const delivered: string[] = [];
  closed.createQueueHandler(STEP_PREFIX, async (message) => {
    delivered.push(`closed ${(message as { n: number }).n}`);
    await opened;
  });
  await closed.start();
  await closed.queue(`${STEP_PREFIX}x`, { n: 1 });
  await until('the first delivery', LIMIT_MS, () => delivered.length === 1);
  const closing = closed.close();
  await pause(50);
  await next.queue(`${STEP_PREFIX}x`, { n: 2 });
  open();
  await closing;
  next.createQueueHandler(STEP_PREFIX, async (message) => {
    delivered.push(`next ${(message as { n: number }).n}`);
  });
  await next.start();
  await until('the second delivery', LIMIT_MS, () => delivered.length === 2);
  await next.close();
  expect(delivered).toEqual(['closed 1', 'next 2']);
  expect(inspect(url).messages).toBe(0);
});

/** The two Worlds of {@link closeOneOfTwo}. */
type Name = 'closed' | 'left';

/**
 * Delivers to one of two Worlds, closes World `closed` meanwhile, and then waits for one more
 * delivery. Each delivery appends an event through the World that registered its function.
 */
async function closeOneOfTwo(registering: Name[], starting: Name[], wakesAgain = true) {
  const url = newDatabase();
  const observer = newWorld({ url, delivery: 'direct' });
  const runId = await newRun(observer);
  const worlds = {
    closed: newWorld({ url, delivery: 'direct' }),
    left: newWorld({ url, delivery: 'direct' }),
  };
  const { opened, open } = newGate();
  const deliveries: string[] = [];
  for (const name of registering) {
    worlds[name].createQueueHandler(FLOW_PREFIX, async (_message, { attempt }) => {
      deliveries.push(`${name}, attempt ${attempt}`);
      const correlationId = `s${deliveries.length}`;
      await opened;
      await worlds[name].events.create(runId, {
        eventType: 'step_created',
        specVersion: 3,
        correlationId,
        eventData: { stepName: 'x', input: devalue('[[]]') },
      });
    });
  }
  for (const name of starting) await worlds[name].start();
  await worlds.left.queue(FLOW, { runId });
  await until('the first delivery', LIMIT_MS, () => deliveries.length === 1);
  const closing = worlds.closed.close();
  await pause(50);
  open();
  await closing;
  if (wakesAgain) await worlds.left.queue(FLOW, { runId });
  await until('the second delivery', LIMIT_MS, () => deliveries.length === 2);
  await worlds.left.close();
  const types = await eventTypes(observer, runId);
  await observer.close();
  const steps = types.filter((type) => type === 'step_created').length;
  return { deliveries, steps, messages: inspect(url).messages };
}

test.each<[string, Name[]]>([
  ['the World that registered last', ['left', 'closed']],
  ['a World whose messages another one handles', ['closed', 'left']],
])(
  '%s, closed while it delivers, lets that finish, and the other delivers what follows',
  async (_name, registering) => {
    const { deliveries, ...after } = await closeOneOfTwo(registering, ['left', 'closed']);
    expect(deliveries).toEqual([`${registering[1]}, attempt 1`, 'left, attempt 1']);
    expect(after).toEqual({ steps: 2, messages: 0 });
  },
);

test('a World that is closed while another one delivers leaves that alone', async () => {
  const { deliveries, ...after } = await closeOneOfTwo(['closed', 'left'], ['closed', 'left']);
  expect(deliveries).toEqual(['left, attempt 1', 'left, attempt 1']);
  expect(after).toEqual({ steps: 2, messages: 0 });
});

test('a World that is closed while another one delivers to its function fails that, and it comes again', async () => {
  const order: Name[] = ['left', 'closed'];
  const { deliveries, ...after } = await closeOneOfTwo(order, ['closed', 'left'], false);
  expect(deliveries).toEqual(['closed, attempt 1', 'left, attempt 2']);
  expect(after).toEqual({ steps: 1, messages: 0 });
});
