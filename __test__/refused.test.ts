/**
 * A delivery with an error that never passes is not repeated; a delivery with a passing error is.
 */
import { RunNotSupportedError, type World } from 'hookline';
import { createTestWorld } from 'hookline/testing';
import { cleanUp, devalue, loadModule, newRun, newWorld } from './support';

const { handOver } = loadModule<typeof import('../ts/world/hand-over')>('ts/world/hand-over.ts');
const { invalid, toError } =
  loadModule<typeof import('../ts/native/errors')>('ts/native/errors.ts');

const STEP = '__wkf_step_look';
const FLOW = '__wkf_workflow_look';
const ATTEMPTS_LIMIT_MS = 20_000;

afterEach(cleanUp);

/** A handler that does `work` at each attempt; resolves with the attempts at the second one. */
function handle(world: World, prefix: string, work: (attempt: number) => Promise<unknown>) {
  const attempts: number[] = [];
  return new Promise<number[]>((settle) => {
    world.createQueueHandler(prefix, async (_message, { attempt }) => {
      attempts.push(attempt);
      if (attempt === 2) settle(attempts);
      await work(attempt);
    });
  });
}

/** A write that every World refuses. */
const refused = (world: World) => world.events.create('run', { eventType: 'nonsense' as never });

/** The World's messages that were given up, once there are any. */
async function given(world: World) {
  for (;;) {
    const { data } = await world.deadMessages();
    if (data.length > 0) return data;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test.each([
  ['a step that does not exist', STEP, { workflowRunId: 'wrun_none', stepId: 'step_none' }],
  ['a run that does not exist', FLOW, { runId: 'wrun_none' }],
])(
  'a message about %s has nothing that could end, so it is given up at its first attempt',
  async (_name, queueName, message) => {
    const world = newWorld({ delivery: 'direct' });
    void handle(world, queueName, () => refused(world));
    await world.start();
    await world.queue(queueName, message);
    expect(await given(world)).toMatchObject([
      { attempt: 1, error: expect.stringContaining('is not an event type') },
    ]);
  },
  ATTEMPTS_LIMIT_MS,
);

test.each([
  ['any other error', () => Promise.reject(new Error('for now'))],
  [
    'an error of the same class without its code',
    () => Promise.reject(Object.assign(new Error('for now'), { name: 'WorkflowWorldError' })),
  ],
])(
  '%s is tried again',
  async (_name, work) => {
    const world = newWorld({ delivery: 'direct' });
    const attempts = handle(world, STEP, (attempt) => (attempt === 1 ? work() : Promise.resolve()));
    await world.start();
    await world.queue(STEP, {});
    expect(await attempts).toEqual([1, 2]);
  },
  ATTEMPTS_LIMIT_MS,
);

test(
  'a run that needs a newer version costs its message no attempt: another process may have it',
  async () => {
    const world = createTestWorld();
    const attempts: number[] = [];
    world.createQueueHandler('__wkf_workflow_', async (_message, { attempt }) => {
      attempts.push(attempt);
      if (attempts.length < 3) throw new RunNotSupportedError(9, 3);
    });
    await world.queue(FLOW, { runId: await newRun(world) });
    await world.drain({ skipSleeps: true });
    expect(attempts).toEqual([1, 1, 1]);
    await world.close();
  },
  ATTEMPTS_LIMIT_MS,
);

test(
  'a store that cannot write the end of a run now writes it at the next delivery',
  async () => {
    const world = createTestWorld();
    const errors = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    const runId = await newRun(world);
    let replays = 0;
    world.createQueueHandler('__wkf_workflow_', async () => {
      replays += 1;
      if (replays === 1) await world.failCommit(1, { code: 'BUSY' });
      await refused(world);
    });
    await world.queue(FLOW, { runId });
    await world.drain({ skipSleeps: true });
    const { status, error } = await world.runs.get(runId);
    expect([replays, status]).toEqual([2, 'failed']);
    expect(error?.message).toContain('is not an event type');
    expect(errors).toHaveBeenCalledTimes(1);
    errors.mockRestore();
    await world.close();
  },
  ATTEMPTS_LIMIT_MS,
);

describe('a message that was refused for ever, when its end cannot be written for', () => {
  const refusal = invalid('no World could store it');

  /** The outcome of the message: the thrown error, or `'done'`. */
  function outcomeOf(code: string, status?: number): Promise<{ outcome: unknown; cause: Error }> {
    const cause = toError({ code, message: code, details: { status } });
    const engine = { connect: () => Promise.reject(cause) } as never;
    const meta = { queueName: FLOW, messageId: 'msg_1', attempt: 1 };
    return handOver(engine, () => Promise.reject(refusal), { runId: 'wrun_a' }, meta).then(
      () => ({ outcome: 'done', cause }),
      (outcome) => ({ outcome, cause }),
    );
  }

  test.each([
    ['THROTTLED', undefined],
    ['BUSY', 503],
    ['CLOSED', 503],
    ['IO', 500],
    ['LEASE_LOST', 409],
    ['RUN_NOT_SUPPORTED', undefined],
  ])('%s, is delivered again', async (code, status) => {
    const { outcome, cause } = await outcomeOf(code, status);
    expect(outcome).toBe(cause);
  });

  test.each(['NOT_FOUND', 'RUN_NOT_FOUND', 'INVALID'])(
    '%s, has nothing to end and stays refused',
    async (code) => {
      expect((await outcomeOf(code)).outcome).toBe(refusal);
    },
  );

  test.each(['ENTITY_CONFLICT', 'RUN_EXPIRED'])('%s, was ended by somebody else', async (code) => {
    expect((await outcomeOf(code)).outcome).toBe('done');
  });
});

test(
  'a step ends with the reason also when the error has a stack that is no text',
  async () => {
    const world = createTestWorld();
    const errors = jest.spyOn(console, 'error').mockImplementation(() => undefined);
    const runId = await newRun(world);
    const stepId = 'step_1';
    const step = { specVersion: 3, correlationId: stepId };
    const eventData = { stepName: 'look', input: devalue('[[]]') };
    await world.events.create(runId, { ...step, eventType: 'step_created', eventData });
    world.createQueueHandler('__wkf_step_', async () => {
      await world.events.create(runId, { ...step, eventType: 'step_started' });
      await refused(world).catch((error) => Promise.reject(Object.assign(error, { stack: 42 })));
    });
    await world.queue(STEP, { workflowRunId: runId, stepId });
    await world.drain();
    const { status, error } = await world.steps.get(runId, stepId);
    expect(status).toBe('failed');
    expect(error?.message).toContain('is not an event type');
    errors.mockRestore();
    await world.close();
  },
  ATTEMPTS_LIMIT_MS,
);
