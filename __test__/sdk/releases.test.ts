/** Releases that change, rename or remove the code under a parked run, and rolling releases. */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createWorld } from '../..';
import { hookline } from '../command-line';
import { until } from '../crash/harness';
import { databaseIn } from '../databases';
import { type App, cleanUp, freshData, SDKS, type Sdk, startApp } from './harness';

const RELEASES = join(__dirname, '../fixtures/releases');
const LIMIT_MS = 60_000;
const REFUNDS = 12;
const ORDERS = 6;
const ALIVE_MS = 1000;

type Release = 'first' | 'second' | 'third';

afterAll(cleanUp);

type Env = Record<string, string>;

function release(sdk: Sdk, data: string, name: Release, env: Env = {}): Promise<App> {
  return startApp({ data, sdk, env: { APP_FOLDER: join(RELEASES, name), ...env } });
}

/** Another process's view of the database. */
function onlooker(data: string) {
  return createWorld({ url: databaseIn(data), role: 'producer' });
}

/** A run of the first release that waits for its hook when the release has gone. */
async function parked(sdk: Sdk, data: string, env: Env): Promise<string> {
  const app = await release(sdk, data, 'first', env);
  const runId = await app.start('order', 'order-1');
  await app.hooksReady('order-1');
  await app.kill();
  return runId;
}

/** What a command of `npx hookline` prints. */
async function command(data: string, ...args: string[]): Promise<string> {
  const env = { WORKFLOW_HOOKLINE_URL: databaseIn(data) };
  return (await hookline(args, { env })).stdout;
}

/** The SDK's own way of missing a workflow ends the process a moment later. */
async function staysAlive(app: App): Promise<void> {
  const isOver = await Promise.race([app.ended.then(() => false), pause(ALIVE_MS, true)]);
  expect(isOver).toBe(true);
}

/** Waits until a message of the run is held; returns it. */
async function held(data: string, runId: string) {
  const world = onlooker(data);
  const found = async () =>
    (await world.heldMessages()).data.find((message) => message.runId === runId);
  try {
    await until(
      'a message of the run is held',
      LIMIT_MS,
      async () => (await found()) !== undefined,
    );
    expect((await world.runs.get(runId)).status).toBe('running');
    return await found();
  } finally {
    await world.close();
  }
}

describe.each(SDKS)('with the SDK %s', (sdk) => {
  describe.each(['direct', 'http'])('with deliveries %s', (delivery) => {
    const env = { WORKFLOW_HOOKLINE_DELIVERY: delivery };

    test.each(['second', 'third'] as const)(
      'a run whose code the %s release lacks is held, and completes when the code is back',
      async (next) => {
        const data = freshData();
        const runId = await parked(sdk, data, env);
        const changed = await release(sdk, data, next, env);
        await changed.resume('hookline', 'order-1', { amount: 7 });
        const message = await held(data, runId);
        expect(message?.error).toMatch(/release made the run/);
        expect(message?.error).not.toMatch(/order-1/);
        expect(await command(data, 'doctor', '--json')).toMatch(/messages? (?:is|are) held/);
        expect(await command(data, 'explain', runId)).toMatch(
          /: held \(\d messages? (?:is|are) held/,
        );
        expect(await command(data, 'held')).toContain(runId);
        await staysAlive(changed);
        await changed.stop();
        const again = await release(sdk, data, next, env);
        await held(data, runId);
        await again.stop();
        const back = await release(sdk, data, 'first', env);
        expect(await back.result(runId)).toBe('charged 7');
        const types = await back.eventTypes(runId);
        expect(types.filter((type) => type === 'hook_received')).toHaveLength(1);
        await back.stop();
      },
      2 * LIMIT_MS,
    );

    test(
      'of two releases on one database each runs only what it has the code for',
      async () => {
        const data = freshData();
        const old = await release(sdk, data, 'first', env);
        const current = await release(sdk, data, 'second', env);
        const runs = await Promise.all(
          Array.from({ length: REFUNDS }, (_, amount) => current.start('refund', amount)),
        );
        const results = await Promise.all(runs.map((runId) => old.result(runId)));
        expect(results).toEqual(runs.map((_, amount) => `gave back ${amount}`));
        // Both have a workflow of this name; the first worker to replay a run decides which one it is.
        const tokens = Array.from({ length: ORDERS }, (_, number) => `order-${number}`);
        const orders = await Promise.all(tokens.map((token) => current.start('order', token)));
        await current.hooksReady(...tokens);
        await Promise.all(tokens.map((token) => old.resume('hookline', token, { amount: 7 })));
        for (const runId of orders) expect(await old.result(runId)).toMatch(/charged 7$/);
        await Promise.all([old.stop(), current.stop()]);
      },
      2 * LIMIT_MS,
    );

    test(
      'a run that the only release has made of a workflow that it lacks fails, as the SDK documents',
      async () => {
        const app = await release(sdk, freshData(), 'third', env);
        // A run is the release's own if its code was loaded before. Workflow 5 loads it with the first message.
        expect(await app.result(await app.start('purchase'))).toBe('purchased');
        const { runId } = await app.ask<{ runId: string }>('startVia', {
          via: 'sdk',
          id: { workflowId: 'workflow//./workflows/order//nobody' },
          args: [],
        });
        await expect(app.result(runId)).rejects.toThrow(/not registered/);
        await app.stop();
      },
      LIMIT_MS,
    );

    test(
      'a run that was started before any worker had its code is held if the code lacks its workflow',
      async () => {
        const data = freshData();
        const APP_FOLDER = join(RELEASES, 'third');
        const producer = await startApp({
          data,
          sdk,
          role: 'producer',
          env: { APP_FOLDER, ...env },
        });
        const { runId } = await producer.ask<{ runId: string }>('startVia', {
          via: 'sdk',
          id: { workflowId: 'workflow//./workflows/order//order' },
          args: ['order-1'],
        });
        await producer.stop();
        const without = await release(sdk, data, 'third', env);
        const message = await held(data, runId);
        expect(message?.error).toMatch(/the workflow is not in the code/);
        expect(await command(data, 'doctor', '--json')).toMatch(/1 message is held/);
        expect(await command(data, 'explain', runId)).toMatch(/: held \(1 message is held/);
        await staysAlive(without);
        await without.stop();
        const back = await release(sdk, data, 'first', env);
        await back.hooksReady('order-1');
        await back.resume('hookline', 'order-1', { amount: 7 });
        expect(await back.result(runId)).toBe('charged 7');
        await back.stop();
      },
      2 * LIMIT_MS,
    );

    test(
      'with WORKFLOW_HOOKLINE_CODE_MISMATCH=fail such a run fails',
      async () => {
        const data = freshData();
        const failing = { ...env, WORKFLOW_HOOKLINE_CODE_MISMATCH: 'fail' };
        const runId = await parked(sdk, data, failing);
        const changed = await release(sdk, data, 'second', failing);
        await changed.resume('hookline', 'order-1', { amount: 7 });
        await expect(changed.result(runId)).rejects.toThrow(/diverged/);
        await changed.stop();
      },
      2 * LIMIT_MS,
    );
  });
});
