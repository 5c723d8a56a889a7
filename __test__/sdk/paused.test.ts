/**
 * A worker is paused for longer than its leases hold, as by SIGSTOP or with its virtual machine.
 * Its later writes are not in the log, which holds one execution.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUILD_LIMIT_MS, buildExpiry, expireLeases, until } from '../crash/harness';
import { databaseIn } from '../databases';
import { type App, cleanUp, freshData, SDKS, startApp } from './harness';

const LIMIT_MS = 20_000;
const TEST_LIMIT_MS = 120_000;
/** The first write of a replay that begins a step: line 5 creates and starts a step at once. */
const BEGINS_STEP = { workflow: 'step_created', 'workflow-5': 'step_started' };

// Compile it before a process is paused, because that process's leases would expire during the
// compilation.
beforeAll(buildExpiry, BUILD_LIMIT_MS);
afterEach(cleanUp);

const lostLeases = async (app: App) => {
  const { deliveries } = await app.ask<{ deliveries: { leasesLost: number } }>('stats');
  return deliveries.leasesLost;
};

/** Waits until the queue is empty, whichever process delivers. */
const nothingLeft = async (app: App) => {
  const { messages } = await app.ask<{ messages: Record<string, number> }>('stats');
  return Object.values(messages).every((count) => count === 0);
};

const onUnix = process.platform === 'win32' ? describe.skip : describe;

describe.each(SDKS)('with the SDK %s', (sdk) => {
  onUnix.each(['direct', 'http'])('delivered by way of %s', (delivery) => {
    const app = (data: string) =>
      startApp({ data, sdk, env: { WORKFLOW_HOOKLINE_DELIVERY: delivery } });

    test(
      'a step that goes on without its lease leaves the result to who has it',
      async () => {
        const data = freshData();
        const stale = await app(data);
        const runId = await stale.start('executed', data);
        const begun = ({ pid }: App) => existsSync(join(data, `begun-${pid}`));
        const letGo = ({ pid }: App) => writeFileSync(join(data, `go-${pid}`), '');
        await until('the step begins', LIMIT_MS, () => begun(stale));
        await stale.pause();

        const current = await app(data);
        expireLeases(databaseIn(data));
        await until('it begins elsewhere', LIMIT_MS, () => begun(current));
        letGo(stale);
        stale.goOn();
        await until('the stale one ends', LIMIT_MS, async () => (await lostLeases(stale)) === 1);
        const begunTwice = ['run_created', 'run_started', 'step_created', 'step_started'];
        expect(await current.eventTypes(runId)).toEqual([...begunTwice, 'step_started']);

        letGo(current);
        await expect(current.result(runId)).resolves.toBe(current.pid);
        expect(await current.eventTypes(runId)).toEqual([
          ...begunTwice,
          'step_started',
          'step_completed',
          'run_completed',
        ]);
      },
      TEST_LIMIT_MS,
    );

    test(
      'a replay that goes on without its lease writes nothing, and ends with its first write',
      async () => {
        const data = freshData();
        const stale = await app(data);
        const runId = await stale.start('approval', 'paused', 'invoice');
        await stale.hooksReady('paused');
        await until('it waits', LIMIT_MS, () => nothingLeft(stale));
        await stale.ask('stopBefore', { type: BEGINS_STEP[sdk] });
        // The process may be stopped before it has answered.
        const resumed = stale.resume('hookline', 'paused', { approved: true, by: 'Ada' });
        await stale.paused();

        const current = await app(data);
        expireLeases(databaseIn(data));
        await expect(current.result(runId)).resolves.toMatchObject({ record: expect.anything() });
        const log = await current.ask('events', { runId });
        stale.goOn();
        await resumed;
        await until('the stale one ends', LIMIT_MS, async () => (await lostLeases(stale)) === 1);

        expect(await stale.ask('writtenSinceStopped')).toEqual([
          {
            what: BEGINS_STEP[sdk],
            error: { name: 'WorkflowWorldError', code: 'LEASE_LOST', status: 409 },
          },
        ]);
        expect(await current.ask('events', { runId })).toEqual(log);
        expect(await current.eventTypes(runId)).toEqual([
          'run_created',
          'run_started',
          'hook_created',
          'hook_received',
          'step_created',
          'step_started',
          'step_completed',
          'run_completed',
        ]);
        expect(await nothingLeft(current)).toBe(true);
        // The runtime reports no error.
        expect(stale.output).toEqual([]);
      },
      TEST_LIMIT_MS,
    );
  });
});
