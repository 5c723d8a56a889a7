/**
 * Runs of line 5 with `experimental_retention: 0`: what a caller gets after their end, and what is in
 * the database then. Each of them carries a secret in everything that it stores.
 */

import { until } from '../crash/harness';
import { bytesOf } from '../databases';
import { type App, cleanUp, freshData, startApp } from './harness';

const LIMIT_MS = 60_000;
const SECRET = 'canary-of-a-private-run';

afterAll(cleanUp);

/** Whether the database has the secret, also as base64, which has three alignments. */
function isStored(data: string): boolean {
  const stored = bytesOf(data);
  const encoded = [0, 1, 2].map((skipped) =>
    Buffer.from(SECRET).subarray(skipped).toString('base64').slice(0, 24),
  );
  return [SECRET, ...encoded].some((text) => stored.includes(text));
}

const KEYS = { WORKFLOW_HOOKLINE_ENCRYPTION_KEYS: `a:${Buffer.alloc(32, 1).toString('base64')}` };

interface Outcome {
  value?: string;
  error?: { name: string; message: string; fields: string };
}

describe.each([
  ['in plain text', {}],
  ['with encryption at rest', KEYS],
])('%s', (_, env) => {
  let app: App;
  let data: string;
  beforeAll(async () => {
    data = freshData();
    app = await startApp({ data, sdk: 'workflow-5', env });
  }, LIMIT_MS * 2);
  afterAll(() => app?.stop());

  const askRun = (via: string, runId: string, ask: string) =>
    app.ask<Outcome>('askRun', { via, runId, ask });

  test.each(['sdk', 'hookline'] as const)(
    'a run started by %s loses its values at its end, also for those who wait for them',
    async (via) => {
      for (const [fails, status] of [
        [false, 'completed'],
        [true, 'failed'],
      ] as const) {
        const token = `${via} ${status}`;
        const { runId } = await app.ask<{ runId: string }>('startVia', {
          via,
          workflow: 'secretive',
          args: [SECRET, token, fails],
          options: { experimental_retention: 0 },
        });
        const waiting = ['sdk', 'hookline'].map((by) => askRun(by, runId, 'returnValue'));
        await app.hooksReady(token);
        await app.resume(via, token, { secret: SECRET });
        const outcomes = await Promise.all(waiting);
        outcomes.push(await askRun('sdk', runId, 'returnValue'));
        outcomes.push(await askRun('hookline', runId, 'returnValue'));
        for (const { error } of outcomes) {
          expect(error).toMatchObject({
            name: 'RunExpiredError',
            message: expect.stringContaining('its data expired'),
            fields: expect.stringContaining(`runStatus: '${status}'`),
          });
          expect(error?.fields).toContain('status: 410');
        }
        expect(await askRun(via, runId, 'status')).toMatchObject({ value: `'${status}'` });
        const read = await app.ask<Outcome>('readable', { via, runId });
        expect(read.value).toContain('chunks: [], tailIndex: -1');
        const types = await app.eventTypes(runId);
        expect(types).toEqual(expect.arrayContaining(['hook_received', `run_${status}`]));
      }
      await until('the secret is stored nowhere', LIMIT_MS, () => !isStored(data));
    },
    LIMIT_MS * 2,
  );

  test(
    'a cancelled run loses its values, and a run without retention keeps them',
    async () => {
      const begin = async (token: string, options?: object) => {
        const args = [SECRET, token, false];
        const started = { via: 'sdk', workflow: 'secretive', args, options };
        const { runId } = await app.ask<{ runId: string }>('startVia', started);
        await app.hooksReady(token);
        return runId;
      };
      const cancelled = await begin('cancelled', { experimental_retention: 0 });
      await app.ask('cancel', { runId: cancelled });
      for (const via of ['sdk', 'hookline']) {
        // It had no return value to lose.
        const { error } = await askRun(via, cancelled, 'returnValue');
        expect(error).toMatchObject({ name: 'WorkflowRunCancelledError' });
      }
      await until('the secret is stored nowhere', LIMIT_MS, () => !isStored(data));
      const kept = await begin('kept', { experimental_retention: 'default' });
      await app.resume('sdk', 'kept', { secret: SECRET });
      expect(await app.result(kept)).toMatchObject({ once: `at last: ${SECRET}` });
      // So the search above could find something.
      expect(isStored(data)).toBe(Object.keys(env).length === 0);
    },
    LIMIT_MS * 2,
  );
});
