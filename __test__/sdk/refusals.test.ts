/**
 * A value that no World can store ends its run at once, with the reason; other values are stored.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../support';
import { type App, cleanUp, freshData, startApp } from './harness';

const HOOKS: Record<string, RegExp> = {
  'a number for a token': /must be a string, but is a number/,
  'a bigint for a token': /must be a string, but is a bigint/,
  'an object for a token': /must be a string, but is an object/,
  'an array for a token': /must be a string, but is an array/,
  'a token of 65,537 characters': /at most 65536 characters/,
  'half of a surrogate pair in a token': /half of a surrogate pair/,
  'a function for metadata': /^Failed to serialize hook metadata/,
  'a symbol in metadata': /^Failed to serialize hook metadata/,
  'metadata that throws when it is read': /^Failed to serialize hook metadata/,
  'a text for isWebhook': /isWebhook must be a boolean, but is a string/,
};
const LIMIT_MS = 60_000;

interface Run {
  status: string;
  error?: { message: string; code?: string };
}

afterAll(cleanUp);

/** `hookline explain`, as an operator runs it. */
async function explained(data: string, runId: string): Promise<string> {
  const bin = join(ROOT, 'dist/cli.js');
  const env = { ...process.env, WORKFLOW_HOOKLINE_URL: join(data, 'hookline.db') };
  return (await promisify(execFile)(process.execPath, [bin, 'explain', runId], { env })).stdout;
}

describe.each(['direct', 'http'])('by delivery %s', (delivery) => {
  const data = freshData();
  let app: App;
  beforeAll(async () => {
    app = await startApp({ data, env: { WORKFLOW_HOOKLINE_DELIVERY: delivery } });
  }, LIMIT_MS);

  /** A run that fails by itself. */
  async function failed(runId: string): Promise<Run> {
    await app.ask('eventSeen', { runId, type: 'run_failed' });
    return app.ask<Run>('run', { runId });
  }

  test.each(Object.entries(HOOKS))(
    '%s ends the run at its first delivery, with the reason',
    async (kind, reason) => {
      const runId = await app.start('refusedHook', kind);
      const run = await failed(runId);
      expect(run).toMatchObject({ status: 'failed', error: { code: 'USER_ERROR' } });
      expect(run.error?.message).toMatch(reason);
      expect(await app.ask('replays', { name: kind })).toBe(1);
      expect(await app.eventTypes(runId)).toEqual(['run_created', 'run_started', 'run_failed']);
      await expect(app.result(runId)).rejects.toMatchObject({ name: 'WorkflowRunFailedError' });
    },
    LIMIT_MS,
  );

  test('a sleep until no date ends the run, and explain says why', async () => {
    const runId = await app.start('refusedSleep');
    const reason = 'The end of a sleep (eventData.resumeAt) must be a valid date.';
    expect((await failed(runId)).error?.message).toBe(reason);
    expect(await app.ask('replays', { name: 'refusedSleep' })).toBe(1);
    expect(await explained(data, runId)).toContain(reason);
    expect(app.output.join('\n')).toContain(reason);
  });

  test('a step that is to be tried again at no date fails, and its workflow is told why', async () => {
    const runId = await app.start('refusedRetry');
    expect(await app.result(runId)).toMatch(
      /^told: The retryAfter of a RetryableError .* must be a valid date/,
    );
    expect(await app.ask('replays', { name: 'neverAgain' })).toBe(1);
  });

  test('nothing of all that is left in the queue', async () => {
    expect(await app.ask('deliveredAll')).toEqual({ dead: 0 });
  });
});

describe.each(['hookline', 'local'] as const)('in the World %s', (world) => {
  test.each([
    ['an empty token', ''],
    ['a token of 65,536 characters', 'x'.repeat(65_536)],
    ['a token with a zero in it', 'a\0b'],
  ])(
    '%s is one, by which its hook is found and resumed',
    async (_name, token) => {
      const app = await startApp({ data: freshData(), world });
      for (const via of world === 'local' ? (['sdk'] as const) : (['sdk', 'hookline'] as const)) {
        const runId = await app.start('tokenOf', token);
        await app.hooksReady(token);
        const hook = await app.resume(via, token, `by ${via}`);
        expect([hook.token === token, hook.runId]).toEqual([true, runId]);
        expect(await app.result(runId)).toBe(`by ${via}`);
      }
      await app.stop();
    },
    LIMIT_MS,
  );
});
