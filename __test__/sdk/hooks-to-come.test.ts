/** Waiting for a hook, and resumes that happen once, on real workflows. */
import { type App, cleanUp, freshData, SDKS, startApp } from './harness';

interface Outcome {
  value?: string;
  runId?: string;
  error?: { class: string; name: string; message: string };
}

afterAll(cleanUp);

describe.each(SDKS)('with the SDK %s', (sdk) => {
  let app: App;

  let serial = 0;

  beforeAll(async () => {
    app = await startApp({ data: freshData(), sdk });
  }, 120_000);
  afterAll(() => app?.stop());

  const freshToken = () => `to come ${++serial}`;
  const wait = (token: string, options?: object) =>
    app.ask<Outcome>('waitForHook', { token, options });
  const resumeOnce = (token: string, payload: unknown, options: object, byHook = false) =>
    app.ask<Outcome>('resumeOnce', { token, payload, options, byHook });

  describe('waitForHook', () => {
    test('gives the hook that is there, and the one that comes, with its metadata', async () => {
      const [first, second] = [freshToken(), freshToken()];
      const late = wait(second);
      const runId = await app.start('lateHook', first, second);
      expect((await wait(first)).runId).toBe(runId);
      await app.resume('sdk', first, {});
      const found = await late;
      expect([found.runId, found.value]).toEqual([runId, expect.stringContaining('late: true')]);
      await app.resume('sdk', second, { answer: 42 });
      await expect(app.result(runId)).resolves.toBe(42);
    });

    test('ends the race between a start and its resume', async () => {
      const all = Array.from({ length: 10 }, (_, n) => ({ token: freshToken(), n }));
      const results = await Promise.all(
        all.map(({ token, n }) =>
          app.ask('startThenResume', {
            workflow: 'claim',
            token,
            args: [token],
            payload: { n },
          }),
        ),
      );
      expect(results).toEqual(all.map(({ n }) => ({ got: n })));
    });

    test('rejects when its time is over, at once for a token that no hook can have', async () => {
      const { error } = await wait(freshToken(), { timeout: 50 });
      expect(error).toMatchObject({ class: 'TimeLimitError', name: 'TimeLimitError' });
      const tooLong = 'x'.repeat(65_537);
      expect((await wait(tooLong)).error).toMatchObject({ name: 'HookNotFoundError' });
      expect((await wait(freshToken(), { timeout: -1 })).error).toMatchObject({
        name: 'WorkflowWorldError',
      });
    });
  });

  describe('an idempotency key', () => {
    test('makes many deliveries one event, also at the same time', async () => {
      const token = freshToken();
      const runId = await app.start('inbox', token);
      await app.hooksReady(token);
      const once = { idempotencyKey: 'delivery 1' };
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, () => resumeOnce(token, { n: 1 }, once)),
      );
      expect(new Set(outcomes.map(({ value }) => value)).size).toBe(1);
      expect((await resumeOnce(token, { n: 1 }, once, true)).runId).toBe(runId);
      await resumeOnce(token, { n: 2, done: true }, { idempotencyKey: 'delivery 2' });
      await expect(app.result(runId)).resolves.toEqual([1, 2]);
      const types = await app.eventTypes(runId);
      expect(types.filter((type) => type === 'hook_received')).toHaveLength(2);
    });

    test('gives the first result again after the run has ended, metadata and all', async () => {
      const token = freshToken();
      const runId = await app.start('approval', token, 'invoice');
      await app.hooksReady(token);
      const payload = { approved: true, by: 'Ada' };
      const first = await resumeOnce(token, payload, { idempotencyKey: 'k' });
      await app.result(runId);
      expect(await resumeOnce(token, payload, { idempotencyKey: 'k' })).toEqual(first);
      expect(first.value).toContain('finance');
      // Without the key, or with another key, the hook is no longer found.
      for (const options of [{}, { idempotencyKey: 'other' }]) {
        const { error } = await resumeOnce(token, payload, options);
        expect(error).toMatchObject({ name: 'HookNotFoundError' });
      }
    });

    test('refuses another payload, and a window that has passed frees it', async () => {
      const token = freshToken();
      const runId = await app.start('inbox', token);
      await app.hooksReady(token);
      await resumeOnce(token, { n: 1 }, { idempotencyKey: 'k', idempotencyWindow: 1 });
      await resumeOnce(token, { n: 2 }, { idempotencyKey: 'k' });
      const { error } = await resumeOnce(token, { n: 3 }, { idempotencyKey: 'k' });
      expect(error).toMatchObject({ class: 'IdempotencyConflictError' });
      await resumeOnce(token, { done: true }, {});
      await expect(app.result(runId)).resolves.toEqual([1, 2]);
    });
  });
});
