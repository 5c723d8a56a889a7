/**
 * Checks that the files of an app with a key ring hold no secret that passes through the SDK's
 * runtime.
 */

import { BUILD_LIMIT_MS, buildInspector, inspect, until } from '../crash/harness';
import { bytesOf, databaseIn } from '../databases';
import { type App, cleanUp, freshData, SDKS, startApp, type Via } from './harness';

const LIMIT_MS = 120_000;
const VIAS: Via[] = ['sdk', 'hookline'];
const KEYS = (id: string, byte: number) => `${id}:${Buffer.alloc(32, byte).toString('base64')}`;

beforeAll(buildInspector, BUILD_LIMIT_MS);
afterAll(cleanUp);

describe.each(SDKS)('with the SDK %s', (sdk) => {
  function start(data: string, env: Record<string, string>): Promise<App> {
    return startApp({ data, sdk, env });
  }

  /**
   * Runs the fixture with this secret in all its parts; its outcome, and what it wrote to its stream.
   */
  async function runSecretly(app: App, via: Via, secret: string, token: string) {
    const runs = [];
    for (const fails of [false, true]) {
      const args = [secret, token, fails];
      const { runId } = await app.ask<{ runId: string }>('startVia', {
        via,
        workflow: 'secretive',
        args,
      });
      await app.hooksReady(token);
      const hook = await app.resume(via, token, { secret });
      const outcome = await app.result(runId).catch((error: Error) => error.message);
      const spoken = [];
      for await (const chunk of app.stream(runId)) spoken.push(chunk);
      runs.push({ metadata: hook.metadata, outcome, spoken });
    }
    return runs;
  }

  /** Sends the secret in the body of a request; returns the answer of the webhook's step. */
  async function askWebhook(app: App, via: Via, secret: string): Promise<unknown> {
    const runId = await app.start('webhook', 'manual');
    const { token } = await app.ask<{ token: string }>('hookOf', { runId });
    const request = { method: 'POST', body: secret };
    return (await app.ask<{ value: unknown }>('webhook', { via, token, request })).value;
  }

  function expected(secret: string) {
    const shared = { metadata: { secret }, spoken: [secret] };
    return [
      {
        ...shared,
        outcome: { once: `at last: ${secret}`, caught: expect.stringContaining(secret) },
      },
      { ...shared, outcome: expect.stringContaining(secret) },
    ];
  }

  test(
    'with a key ring and sealed tokens, neither values nor tokens are in the files',
    async () => {
      const data = freshData();
      const app = await start(data, {
        WORKFLOW_HOOKLINE_ENCRYPTION_KEYS: KEYS('a', 1),
        WORKFLOW_HOOKLINE_TOKENS: 'sealed',
      });
      for (const via of VIAS) {
        const secret = `canary-by-${via}`;
        const token = `canary-token-${via}`;
        expect(await runSecretly(app, via, secret, token)).toEqual(expected(secret));
        expect(await askWebhook(app, via, secret)).toContain(`you said ${secret}`);
      }
      const whileOpen = bytesOf(data);
      await app.stop();
      for (const bytes of [whileOpen, bytesOf(data)]) {
        // The names of workflows stay readable, which proves that these are the right files.
        expect(bytes.includes('secretive')).toBe(true);
        expect(bytes.includes('canary')).toBe(false);
        expect(bytes.includes(Buffer.from('canary').toString('base64').slice(0, 8))).toBe(false);
      }
    },
    LIMIT_MS,
  );

  test(
    'without a key ring they are, so the test above could fail',
    async () => {
      const data = freshData();
      const app = await start(data, {});
      for (const via of VIAS) {
        const secret = `canary-by-${via}`;
        expect(await runSecretly(app, via, secret, `token-${via}`)).toEqual(expected(secret));
      }
      await app.stop();
      for (const via of VIAS) {
        expect(bytesOf(data).includes(`canary-by-${via}`)).toBe(true);
        expect(bytesOf(data).includes(`token-${via}`)).toBe(true);
      }
    },
    LIMIT_MS,
  );

  test(
    'a run goes on under its own key after the ring was rotated, and new runs use the new one',
    async () => {
      const data = freshData();
      const before = await start(data, { WORKFLOW_HOOKLINE_ENCRYPTION_KEYS: KEYS('old', 1) });
      const runId = await before.start('secretive', 'canary', 'token', false);
      await before.hooksReady('token');
      await before.stop();
      const rotated = `${KEYS('new', 2)},${KEYS('old', 1)}`;
      const after = await start(data, { WORKFLOW_HOOKLINE_ENCRYPTION_KEYS: rotated });
      await after.resume('hookline', 'token', { secret: 'canary' });
      expect(await after.result(runId)).toMatchObject({ once: 'at last: canary' });
      const [fresh] = await runSecretly(after, 'hookline', 'canary-2', 'token-2');
      expect(fresh?.outcome).toMatchObject({ once: 'at last: canary-2' });
      await after.stop();
      // Only the new run and its values need just the new key.
      expect(bytesOf(data).includes('canary')).toBe(false);
    },
    LIMIT_MS,
  );

  test(
    'a worker with the rotated ring executes a run that a process with the old ring starts',
    async () => {
      const data = freshData();
      const rotated = `${KEYS('new', 2)},${KEYS('old', 1)}`;
      const worker = await start(data, { WORKFLOW_HOOKLINE_ENCRYPTION_KEYS: rotated });
      const producer = await startApp({
        data,
        sdk,
        role: 'producer',
        env: { WORKFLOW_HOOKLINE_ENCRYPTION_KEYS: KEYS('old', 1) },
      });
      const runs = await Promise.all(
        Array.from({ length: 10 }, (_, n) => producer.start('inbox', `token ${n}`)),
      );
      for (const [n, runId] of runs.entries()) {
        await worker.hooksReady(`token ${n}`);
        await worker.resume('sdk', `token ${n}`, { n, done: true });
        expect(await worker.result(runId)).toEqual([n]);
      }
    },
    LIMIT_MS,
  );

  test(
    'a run whose key a worker lacks is tried without counting, and goes on when the key is back',
    async () => {
      const data = freshData();
      const url = databaseIn(data);
      const before = await start(data, { WORKFLOW_HOOKLINE_ENCRYPTION_KEYS: KEYS('old', 1) });
      const runId = await before.start('race', 'token', '8s');
      await before.hooksReady('token');
      await before.stop();
      const keys = [`${KEYS('new', 2)}`, `${KEYS('new', 2)},${KEYS('old', 1)}`];
      // Once with both keys, so that the database knows the new key and opens with it alone; not by a
      // worker, because it may end the run.
      const env = { WORKFLOW_HOOKLINE_ENCRYPTION_KEYS: keys[1] as string };
      const both = await startApp({ data, sdk, role: 'producer', env });
      await both.start('inbox', 'another token');
      await both.stop();
      const lacking = await start(data, { WORKFLOW_HOOKLINE_ENCRYPTION_KEYS: keys[0] as string });
      // The other run's messages are delivered meanwhile.
      await until('it is tried', 40_000, () => {
        const { failed, attempts } = inspect(url);
        return failed === 1 && attempts.length === 1;
      });
      expect(inspect(url).attempts).toEqual([0]);
      await lacking.stop();
      const after = await start(data, { WORKFLOW_HOOKLINE_ENCRYPTION_KEYS: keys[1] as string });
      expect(await after.result(runId)).toBe('nobody answered');
    },
    LIMIT_MS,
  );
});
