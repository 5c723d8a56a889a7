/**
 * A value that no World can store ends its run at once, with the reason; other values are stored.
 */
import { hookline } from '../command-line';
import { databaseIn } from '../databases';
import { type App, cleanUp, freshData, SDKS, type Sdk, startApp } from './harness';

const UNSERIALIZABLE = /Failed to serialize (hook metadata|step arguments)/;
const HOOKS: Record<string, RegExp> = {
  'a number for a token': /must be a string, but is a number/,
  'a bigint for a token': /must be a string, but is a bigint/,
  'an object for a token': /must be a string, but is an object/,
  'an array for a token': /must be a string, but is an array/,
  'a token of 65,537 characters': /at most 65536 characters/,
  'half of a surrogate pair in a token': /half of a surrogate pair/,
  'a function for metadata': UNSERIALIZABLE,
  'a symbol in metadata': UNSERIALIZABLE,
  'metadata that throws when it is read': UNSERIALIZABLE,
  'a text for isWebhook': /isWebhook must be a boolean, but is a string/,
};
const LIMIT_MS = 60_000;

/** How a run of `refusedRetry` ends: line 4 delivers a step by itself, so only the step fails. */
const REFUSED_RETRY = {
  workflow: /^'told: The retryAfter of a RetryableError .* must be a valid date/,
  'workflow-5':
    /^Workflow run .* failed: The retryAfter of a RetryableError .* must be a valid date/,
};

const TOKENS: Record<string, { token: string; sdks: readonly Sdk[] }> = {
  // Workflow 5 makes a token where it gets none, or an empty one.
  'an empty token': { token: '', sdks: ['workflow'] },
  'a token of 65,536 characters': { token: 'x'.repeat(65_536), sdks: SDKS },
  'a token with a zero in it': { token: 'a\0b', sdks: SDKS },
};

interface Outcome {
  value?: string;
  error?: { name: string; message: string; fields: string; cause: { fields: string } };
}

afterAll(cleanUp);

/** `hookline explain`, as an operator runs it. */
async function explained(data: string, runId: string): Promise<string> {
  const env = { WORKFLOW_HOOKLINE_URL: databaseIn(data) };
  const { code, stdout, stderr } = await hookline(['explain', runId], { env });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

describe.each(SDKS)('with the SDK %s', (sdk) => {
  describe.each(['direct', 'http'])('by delivery %s', (delivery) => {
    const data = freshData();
    let app: App;
    beforeAll(async () => {
      app = await startApp({ data, sdk, env: { WORKFLOW_HOOKLINE_DELIVERY: delivery } });
    }, LIMIT_MS);
    afterAll(() => app?.stop());

    const outcomeOf = (runId: string) =>
      app.ask<Outcome>('askRun', { via: 'hookline', runId, ask: 'returnValue' });

    /** The reason for which a run has failed by itself. */
    async function failed(runId: string): Promise<string | undefined> {
      const { error } = await outcomeOf(runId);
      expect(error?.name).toBe('WorkflowRunFailedError');
      // Line 4 has the code on the cause.
      expect(error?.fields + (error?.cause.fields ?? '')).toContain("'USER_ERROR'");
      expect(await app.ask('run', { runId })).toMatchObject({ status: 'failed' });
      return error?.message;
    }

    test.each(Object.entries(HOOKS))(
      '%s ends the run at its first delivery, with the reason',
      async (kind, reason) => {
        const runId = await app.start('refusedHook', kind);
        expect(await failed(runId)).toMatch(reason);
        expect(await app.ask('replays', { name: kind })).toBe(1);
        expect(await app.eventTypes(runId)).toEqual(['run_created', 'run_started', 'run_failed']);
      },
      LIMIT_MS,
    );

    test('a sleep until no date ends the run, and explain says why', async () => {
      const runId = await app.start('refusedSleep');
      const reason = 'The end of a sleep (eventData.resumeAt) must be a valid date.';
      expect(await failed(runId)).toContain(reason);
      expect(await app.ask('replays', { name: 'refusedSleep' })).toBe(1);
      expect(await explained(data, runId)).toContain(reason);
      expect(app.output.join('\n')).toContain(reason);
    });

    test('a step that is to be tried again at no date is not tried again, and the reason is told', async () => {
      const runId = await app.start('refusedRetry');
      const { value, error } = await outcomeOf(runId);
      expect(value ?? error?.message).toMatch(REFUSED_RETRY[sdk]);
      expect(await app.ask('replays', { name: 'neverAgain' })).toBe(1);
    });

    test('nothing of all that is left in the queue', async () => {
      expect(await app.ask('deliveredAll')).toEqual({ dead: 0 });
    });
  });

  describe.each(['hookline', 'local'] as const)('in the World %s', (world) => {
    let app: App;
    beforeAll(async () => {
      app = await startApp({ data: freshData(), sdk, world });
    }, LIMIT_MS);
    afterAll(() => app?.stop());

    test.each(Object.entries(TOKENS).filter(([, { sdks }]) => sdks.includes(sdk)))(
      '%s is one, by which its hook is found and resumed',
      async (_name, { token }) => {
        for (const via of world === 'local' ? (['sdk'] as const) : (['sdk', 'hookline'] as const)) {
          const runId = await app.start('tokenOf', token);
          await app.hooksReady(token);
          const hook = await app.resume(via, token, `by ${via}`);
          expect([hook.token === token, hook.runId]).toEqual([true, runId]);
          expect(await app.result(runId)).toBe(`by ${via}`);
        }
      },
      LIMIT_MS,
    );
  });
});
