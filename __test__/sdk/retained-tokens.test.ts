/** A token of line 5 with `experimental_minRetention`, as on world-local: held after its run has ended. */
import { type App, cleanUp, type Entity, freshData, startApp, type Via } from './harness';

const LIMIT_MS = 120_000;
const VIAS: Via[] = ['sdk', 'hookline'];

afterAll(cleanUp);

describe.each(['hookline', 'local'] as const)('in the World %s', (world) => {
  let app: App;
  beforeAll(async () => {
    app = await startApp({ data: freshData(), sdk: 'workflow-5', world });
  }, LIMIT_MS);
  afterAll(() => app?.stop());

  /** Starts a run that takes the token, and waits for its end. */
  async function reserve(token: string, retention: string | number) {
    const runId = await app.start('reserved', token, retention);
    return { runId, result: await app.result(runId) };
  }

  test('a retained token cannot be taken after its run', async () => {
    const { runId, result } = await reserve('kept', '1h');
    expect(result).toBe('reserved');
    expect((await reserve('kept', '1h')).result).toEqual({ holder: runId });
  });

  test('its hook is found, and cannot be resumed', async () => {
    const { runId } = await reserve('found', '1h');
    for (const via of VIAS) {
      const hook = await app.ask<Entity>('hook', { via, token: 'found' });
      expect(hook).toMatchObject({
        runId,
        metadata: { reserved: true },
        isSystem: false,
        tokenRetentionUntil: expect.any(String),
      });
      expect(hook.kinds).toMatchObject({ tokenRetentionUntil: 'Date' });
      const missing = { name: 'HookNotFoundError', token: 'found' };
      await expect(app.resume(via, 'found', {})).rejects.toMatchObject(missing);
    }
    expect(await app.eventTypes(runId)).not.toContain('hook_received');
  });

  test('the token is free when its time is over', async () => {
    expect((await reserve('free', 1)).result).toBe('reserved');
    for (const via of VIAS) {
      const missing = { name: 'HookNotFoundError', token: 'free' };
      await expect(app.ask('hook', { via, token: 'free' })).rejects.toMatchObject(missing);
    }
    expect((await reserve('free', 1)).result).toBe('reserved');
  });
});
