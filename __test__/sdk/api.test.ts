/**
 * `start`, `getRun` and `Run` of this package beside those of `workflow/api`, on the same workflows
 * and the same World: results, errors and event logs are equal.
 */
import { type App, cleanUp, freshData, SDKS, startApp, type Via } from './harness';

interface Outcome {
  /** The value as Node prints it. */
  value?: string;
  runId?: string;
  error?: { class: string; name: string; message: string; fields: string; cause?: unknown };
}

const VIAS: Via[] = ['sdk', 'hookline'];
let serial = 0;
afterAll(cleanUp);

function freshToken(): string {
  serial += 1;
  return `api ${serial}`;
}

describe.each(SDKS)('with the SDK %s', (sdk) => {
  let app: App;

  beforeAll(async () => {
    app = await startApp({ data: freshData(), sdk });
  }, 120_000);
  afterAll(() => app?.stop());

  const startVia = (via: Via, input: object) => app.ask<Outcome>('startVia', { via, ...input });
  const askRun = (via: Via, runId: string, ask: string, args?: unknown[]) =>
    app.ask<Outcome>('askRun', { via, runId, ask, args });

  /** Starts a workflow through one side, and returns the run. */
  async function started(via: Via, input: object): Promise<string> {
    const { runId, error } = await startVia(via, input);
    expect(error).toBeUndefined();
    return runId as string;
  }

  /** The results of both sides, without the ids of their runs. */
  async function both(ask: (via: Via) => Promise<[runId: string, outcome: Outcome]>) {
    const outcomes = [];
    for (const via of VIAS) {
      const [runId, outcome] = await ask(via);
      outcomes.push(JSON.parse(JSON.stringify(outcome).replaceAll(runId, 'RUN')) as Outcome);
    }
    const [bySdk, byUs] = outcomes;
    expect(byUs).toEqual(bySdk);
    return byUs as Outcome;
  }

  describe('start', () => {
    test.each([
      ['no arguments', 'echo', 'none'],
      ['values of every kind', 'echo', 'rich'],
      ['streams of bytes and of values', 'readArguments', 'streams'],
    ])('passes %s on as the SDK does, with the same log', async (_what, workflow, named) => {
      const logs: string[][] = [];
      const outcome = await both(async (via) => {
        const runId = await started(via, { workflow, named });
        const result = await askRun('sdk', runId, 'returnValue');
        logs.push(await app.eventTypes(runId));
        return [runId, result];
      });
      expect(outcome.error).toBeUndefined();
      expect(logs[1]).toEqual(logs[0]);
    });

    test.each([
      ['nothing', { id: null }],
      ['a function that is no workflow', { id: {} }],
      ['a name that no queue can have', { id: { workflowId: 'a b' } }],
      ['arguments that cannot be serialized', { workflow: 'echo', named: 'unserializable' }],
      [
        'a spec version from the future',
        { workflow: 'echo', args: [], options: { specVersion: 99 } },
      ],
    ])('refuses %s with the error of the SDK', async (_what, input) => {
      const outcome = await both(async (via) => ['-', await startVia(via, input)]);
      expect(outcome.error).toBeDefined();
    });

    test.each([
      ['latest', { deploymentId: 'latest' }],
      ['another deployment', { deploymentId: 'dpl_other' }],
      ['no arguments but options', undefined],
    ])('takes options: %s', async (_what, options) => {
      const deployments = [];
      for (const via of VIAS) {
        const args = options ? ['a'] : { deploymentId: 'dpl_other' };
        const runId = await started(via, { workflow: 'echo', args, options });
        const { deploymentId } = await app.ask<{ deploymentId: string }>('run', { runId });
        deployments.push(deploymentId);
        expect((await askRun('sdk', runId, 'returnValue')).error).toBeUndefined();
      }
      expect(deployments[1]).toBe(deployments[0]);
    });

    test('stamps the run as the SDK does', async () => {
      const stamps = [];
      for (const via of VIAS) {
        const runId = await started(via, { workflow: 'echo', args: [1] });
        const run = await app.ask<Record<string, unknown>>('run', { runId });
        stamps.push({ version: run.specVersion, context: run.executionContext });
      }
      expect(stamps[1]).toEqual(stamps[0]);
    });
  });

  // Workflow 4 has none of these options.
  const describeOf5 = sdk === 'workflow-5' ? describe : describe.skip;
  const RUN = 'wrun_01M8JNXYKW93YZWRX32NV1ZP1W';
  const LONG = 'x'.repeat(257);

  describeOf5('start of workflow 5', () => {
    test.each([
      ['attributes', { attributes: { tenant: 'a', plan: 'b' } }],
      [
        'reserved attributes, if allowed',
        { attributes: { $own: 'a' }, allowReservedAttributes: true },
      ],
      ['no retention', { experimental_retention: 0 }],
      ['the default retention', { experimental_retention: 'default' }],
      ['the run that it repeats', { replayedFromRunId: RUN }],
    ])('takes %s as the SDK does', async (_what, options) => {
      const stamps = [];
      for (const via of VIAS) {
        const runId = await started(via, { workflow: 'echo', args: [1], options });
        const run = await app.ask<Record<string, unknown>>('run', { runId });
        stamps.push({ attributes: run.attributes, context: run.executionContext });
      }
      expect(stamps[1]).toEqual(stamps[0]);
    });

    test.each([
      ['a reserved attribute', { attributes: { $own: 'a' } }],
      ['an attribute that is no text', { attributes: { n: 1 } }],
      ['an attribute with a long name', { attributes: { [LONG]: 'a' } }],
      ['an attribute with a long value', { attributes: { a: LONG } }],
      ['another retention', { experimental_retention: 7 }],
      ['a run that it cannot repeat', { replayedFromRunId: 'wrun_1' }],
    ])('refuses %s with the error of the SDK', async (_what, options) => {
      const input = { workflow: 'echo', args: [], options };
      const outcome = await both(async (via) => ['-', await startVia(via, input)]);
      expect(outcome.error).toBeDefined();
    });

    test('a run has the attributes that its workflow and its steps set', async () => {
      const options = { attributes: { tenant: 'none', plan: 'free' } };
      for (const via of VIAS) {
        const runId = await started(via, { workflow: 'attributed', args: ['ada'], options });
        expect((await askRun('sdk', runId, 'returnValue')).value).toBe("'ada'");
        const { attributes } = await app.ask<{ attributes: unknown }>('run', { runId });
        expect(attributes).toEqual({ tenant: 'ada', plan: 'free', stage: 'in the step' });
      }
    });

    test('a run that a step starts knows its parent', async () => {
      const parent = await app.start('parent', 'word of the parent');
      await app.result(parent);
      const runs = await app.ask<{ attributes: Record<string, string> }[]>('runsOf', {});
      const children = runs.filter(({ attributes }) => attributes.$parentRunId === parent);
      expect(children.map(({ attributes }) => attributes.$rootRunId)).toEqual([parent]);
    });

    test('others write to the streams of a run as by the SDK', async () => {
      const runId = await app.start('approval', freshToken(), 'invoice');
      const streams: Outcome[] = [];
      for (const via of VIAS) {
        const options = { namespace: `by ${via}` };
        const chunks = ['one', { two: [2] }, 3];
        const written = await app.ask<Outcome>('writable', { via, runId, chunks, options });
        expect(written.error).toBeUndefined();
        for (const by of VIAS) {
          streams.push(await app.ask<Outcome>('readable', { via: by, runId, options }));
        }
      }
      expect(streams).toEqual(streams.map(() => streams[0]));
      expect(streams[0]?.value).toContain("chunks: [ 'one', { two: [ 2 ] }, 3 ]");
      const none = { runId: RUN, chunks: ['lost'] };
      const outcome = await both(async (via) => [
        '-',
        await app.ask<Outcome>('writable', { via, ...none }),
      ]);
      expect(outcome.error).toBeDefined();
    });

    test('a run may be cancelled with a reason', async () => {
      const logs: unknown[] = [];
      for (const via of VIAS) {
        const token = freshToken();
        const runId = await app.start('approval', token, 'invoice');
        await app.hooksReady(token);
        await askRun(via, runId, 'cancel', [{ cancelReason: 'no longer needed' }]);
        expect(await app.ask('eventData', { runId, type: 'run_cancelled' })).toMatchObject({
          cancelReason: 'no longer needed',
        });
        logs.push(await app.eventTypes(runId));
      }
      expect(logs[1]).toEqual(logs[0]);
    });
  });

  describe('resumeHook and getHookByToken', () => {
    const resumeVia = (via: Via, target: unknown, named = 'none') =>
      app.ask<Outcome>('resumeVia', { via, target, named });

    test('give the same hook, and the workflow the same payload, of every kind', async () => {
      const logs: string[][] = [];
      const outcome = await both(async (via) => {
        const runId = await app.start('receive', 'fixed token');
        await app.hooksReady('fixed token');
        const found = await app.ask<Outcome>('lookUpVia', { via, token: 'fixed token' });
        const resumed = await resumeVia(via, 'fixed token', 'rich');
        expect(resumed).toEqual(found);
        const value = await askRun('sdk', runId, 'returnValue');
        logs.push(await app.eventTypes(runId));
        return [runId, value];
      });
      expect(outcome.value).toContain('123n');
      expect(logs[1]).toEqual(logs[0]);
    });

    test('fail alike: no such hook, no such run, a payload that cannot be serialized', async () => {
      const token = freshToken();
      const runId = await app.start('approval', token, 'invoice');
      await app.hooksReady(token);
      const nowhere = { runId: 'wrun_no', hookId: 'hook_no', token, specVersion: 3 };
      const targets: [unknown, string][] = [
        ['no such token', 'none'],
        ['no such token', 'unserializable'],
        [token, 'unserializable'],
        [nowhere, 'none'],
      ];
      for (const [target, named] of targets) {
        const outcome = await both(async (via) => ['-', await resumeVia(via, target, named)]);
        expect(outcome.error).toBeDefined();
      }
      await both(async (via) => ['-', await app.ask('lookUpVia', { via, token: 'no such token' })]);
      expect(await app.eventTypes(runId)).not.toContain('hook_received');
    });
  });

  test('the health check of the SDK is answered', async () => {
    expect(await app.ask('health')).toMatchObject({ healthy: true });
  });

  test('a step may start another workflow; a workflow is told that it may not', async () => {
    const runId = await app.start('parent', 'word');
    await expect(app.result(runId)).resolves.toEqual({
      fromStep: ['word'],
      inWorkflow: expect.stringContaining(
        'getHookByToken() of hookline cannot run inside a workflow',
      ),
    });
  });

  describe('getRun', () => {
    const GETTERS = ['exists', 'status', 'workflowName', 'createdAt', 'startedAt', 'completedAt'];

    test('reads a run in each status as the SDK does', async () => {
      const token = freshToken();
      const waiting = await app.start('approval', token, 'invoice');
      await app.hooksReady(token);
      const completed = await started('sdk', { workflow: 'echo', args: [1] });
      const failed = await started('sdk', { workflow: 'failing', args: ['no'] });
      const cancelled = await app.start('approval', freshToken(), 'invoice');
      await app.ask('cancel', { runId: cancelled });
      await Promise.all([completed, failed].map((runId) => askRun('sdk', runId, 'returnValue')));
      for (const runId of [waiting, completed, failed, cancelled, 'wrun_unknown']) {
        for (const getter of GETTERS) {
          const bySdk = await askRun('sdk', runId, getter);
          expect([getter, await askRun('hookline', runId, getter)]).toEqual([getter, bySdk]);
        }
      }
    });

    test.each([
      ['completed', 'echo', ['a', { b: 1 }]],
      ['failed', 'failing', ['the reason']],
      ['failed in a step', 'failingStep', ['the reason']],
    ])('gives the return value of a run that has %s', async (_status, workflow, args) => {
      const outcome = await both(async (via) => {
        const runId = await started(via, { workflow, args });
        return [runId, await askRun(via, runId, 'returnValue')];
      });
      expect(outcome.error?.name).toBe(workflow === 'echo' ? undefined : 'WorkflowRunFailedError');
    });

    test('rejects the return value of a cancelled run and of none, as the SDK does', async () => {
      const cancelled = await both(async (via) => {
        const runId = await app.start('approval', freshToken(), 'invoice');
        const value = askRun(via, runId, 'returnValue');
        expect((await askRun(via, runId, 'cancel', [])).error).toBeUndefined();
        return [runId, await value];
      });
      expect(cancelled.error?.name).toBe('WorkflowRunCancelledError');
      const unknown = await both(async (via) => ['-', await askRun(via, 'wrun_no', 'returnValue')]);
      expect(unknown.error?.name).toBe('WorkflowRunNotFoundError');
    });

    test('cancels as the SDK does: once, again, too late, and what is not there', async () => {
      const logs: string[][] = [];
      for (const via of VIAS) {
        const runId = await app.start('approval', freshToken(), 'invoice');
        await askRun(via, runId, 'cancel', []);
        await askRun(via, runId, 'cancel', []);
        const types = await app.eventTypes(runId);
        logs.push(types.filter((type) => type === 'run_cancelled'));
      }
      expect(logs[1]).toEqual(logs[0]);
      const late = await both(async (via) => {
        const runId = await started('sdk', { workflow: 'echo', args: [] });
        await askRun('sdk', runId, 'returnValue');
        return [runId, await askRun(via, runId, 'cancel', [])];
      });
      expect(late.error?.name).toBe('EntityConflictError');
      await both(async (via) => ['-', await askRun(via, 'wrun_no', 'cancel', [])]);
    });

    test('wakes a sleeping run as the SDK does, all sleeps or the named ones', async () => {
      const logs: string[][] = [];
      const outcome = await both(async (via) => {
        const runId = await app.start('sleeper', '1d');
        await app.ask('eventSeen', { runId, type: 'wait_created', count: 2 });
        const events = await app.ask<{ eventType: string; correlationId: string }[]>('events', {
          runId,
        });
        const [first] = events.filter(({ eventType }) => eventType === 'wait_created');
        const named = [{ correlationIds: [first?.correlationId] }];
        expect((await askRun(via, runId, 'wakeUp', named)).value).toBe('{ stoppedCount: 1 }');
        expect((await askRun(via, runId, 'wakeUp', named)).value).toBe('{ stoppedCount: 0 }');
        const rest = await askRun(via, runId, 'wakeUp', []);
        expect((await askRun(via, runId, 'returnValue')).value).toBe("'awake'");
        expect((await askRun(via, runId, 'wakeUp', [])).value).toBe('{ stoppedCount: 0 }');
        logs.push(await app.eventTypes(runId));
        return [runId, rest];
      });
      expect(outcome.value).toBe('{ stoppedCount: 1 }');
      expect(logs[1]).toEqual(logs[0]);
      const missing = await both(async (via) => ['-', await askRun(via, 'wrun_no', 'wakeUp', [])]);
      expect(missing.error?.message).toContain('Failed to wake up run wrun_no');
    });

    test('reads the stream of a run as the SDK does, from any index', async () => {
      const runId = await app.start('speech', ['one', 'two', 'three']);
      await askRun('sdk', runId, 'returnValue');
      for (const options of [{}, { startIndex: 1 }, { startIndex: -1 }, { namespace: 'side' }]) {
        const [bySdk, byUs] = [
          await app.ask('readable', { via: 'sdk', runId, options }),
          await app.ask('readable', { via: 'hookline', runId, options }),
        ];
        expect(byUs).toEqual(bySdk);
        expect(byUs).toHaveProperty('value');
      }
    });
  });
});
