/**
 * A process that was given another World on purpose: our functions do what the SDK's own do there,
 * so an import that was replaced by ours does no harm.
 */
import { join } from 'node:path';
import { cleanUp as cleanUpFolders, newFolder, ROOT, runNode } from '../support';
import { type App, cleanUp, freshData, SDKS, startApp, type Via } from './harness';

interface Outcome {
  value?: string;
  runId?: string;
  error?: { name: string; message: string };
}

const LIMIT_MS = 60_000;

afterAll(async () => {
  await cleanUp();
  await cleanUpFolders();
});

/** An outcome with the ids and times that differ from run to run replaced. */
function comparable(outcome: Outcome): unknown {
  const text = JSON.stringify(outcome)
    .replace(/(wrun|hook|strm|evnt|step)_[0-9A-Za-z]+/g, '$1_')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'time')
    .replaceAll(/by (sdk|hookline)/g, 'by');
  return JSON.parse(text);
}

/** Plays the same calls by the SDK's functions and by ours; the outcomes must be equal. */
async function sameBy(play: (via: Via) => Promise<Outcome[]>): Promise<Outcome[]> {
  const bySdk = await play('sdk');
  const byUs = await play('hookline');
  expect(byUs.map(comparable)).toEqual(bySdk.map(comparable));
  return byUs;
}

describe.each(SDKS)('with the SDK %s', (sdk) => {
  let app: App;
  beforeAll(async () => {
    app = await startApp({ data: freshData(), sdk, world: 'local' });
  }, 120_000);
  afterAll(() => app?.stop());

  const ask = (operation: string, input: object) => app.ask<Outcome>(operation, input);

  test(
    'a run is started, found, resumed and followed to its end',
    async () => {
      const seen = await sameBy(async (via) => {
        const token = `token by ${via}`;
        const started = await ask('startVia', { via, workflow: 'inbox', args: [token] });
        const { runId } = started;
        await app.hooksReady(token);
        const askRun = (question: string) => ask('askRun', { via, runId, ask: question });
        const outcomes = [started, await ask('lookUpVia', { via, token }), await askRun('status')];
        await app.resume(via, token, { n: 7 });
        const resumed = await app.resume(via, token, { done: true });
        expect(resumed.runId).toBe(runId);
        for (const question of ['returnValue', 'exists', 'workflowName', 'status', 'startedAt']) {
          outcomes.push(await askRun(question));
        }
        return outcomes;
      });
      expect(seen.map(({ value }) => value)).toEqual(
        expect.arrayContaining(['[ 7 ]', "'completed'"]),
      );
    },
    LIMIT_MS,
  );

  test(
    'what cannot be done fails with the error of the SDK',
    async () => {
      const seen = await sameBy(async (via) => [
        await ask('lookUpVia', { via, token: 'nobody' }),
        await ask('resumeVia', { via, target: 'nobody', named: 'rich' }),
        await ask('startVia', { via, id: 7, args: [] }),
        await ask('webhook', { via, token: 'nobody' }),
        await ask('askRun', { via, runId: 'wrun_none', ask: 'status' }),
        await ask('askRun', { via, runId: 'wrun_none', ask: 'exists' }),
      ]);
      expect(seen[0]?.error?.name).toBe('HookNotFoundError');
    },
    LIMIT_MS,
  );

  test(
    'a run is cancelled, and its sleeps are ended',
    async () => {
      await sameBy(async (via) => {
        const token = `race by ${via}`;
        const { runId } = await ask('startVia', { via, workflow: 'race', args: [token, '1d'] });
        await app.ask('eventSeen', { runId, type: 'wait_created' });
        const outcomes = [await ask('askRun', { via, runId, ask: 'wakeUp', args: [] })];
        outcomes.push(await ask('askRun', { via, runId, ask: 'returnValue' }));
        const other = await ask('startVia', {
          via,
          workflow: 'race',
          args: [`2nd ${token}`, '1d'],
        });
        await app.ask('eventSeen', { runId: other.runId, type: 'wait_created' });
        outcomes.push(await ask('askRun', { via, runId: other.runId, ask: 'cancel', args: [] }));
        outcomes.push(await ask('askRun', { via, runId: other.runId, ask: 'returnValue' }));
        return outcomes;
      });
    },
    LIMIT_MS,
  );

  test(
    'a webhook gives the response of its workflow',
    async () => {
      await sameBy(async (via) => {
        const { runId } = await ask('startVia', { via, workflow: 'webhook', args: ['manual'] });
        const { token } = await app.ask<{ token: string }>('hookOf', { runId });
        return [await ask('webhook', { via, token, request: { method: 'POST', body: 'hello' } })];
      });
    },
    LIMIT_MS,
  );

  test(
    'a stream is read as it comes, and knows its length',
    async () => {
      const seen = await sameBy(async (via) => {
        const { runId } = await ask('startVia', { via, workflow: 'speech', args: [['a', 'b']] });
        return [await ask('readable', { via, runId, options: {} })];
      });
      expect(seen[0]?.value).toContain('tailIndex');
    },
    LIMIT_MS,
  );

  test(
    'what only this package has says that it needs its World',
    async () => {
      const token = 'only here';
      const { runId } = await ask('startVia', { via: 'sdk', workflow: 'inbox', args: [token] });
      await app.hooksReady(token);
      const refused = [
        await ask('waitForHook', { token }),
        await ask('webhook', { via: 'hookline', token, options: { timeout: 1000 } }),
        await app
          .ask<Outcome>('resumeOnce', { token, payload: {}, options: { idempotencyKey: 'k' } })
          .catch((error) => error.remote),
      ];
      for (const outcome of refused) {
        const message = outcome?.error?.message;
        expect(message).toContain('needs the World of hookline');
        expect(message).toContain('WORKFLOW_TARGET_WORLD is local');
      }
      expect(await app.eventTypes(runId as string)).not.toContain('hook_received');
    },
    LIMIT_MS,
  );
});

/** The variable, and the world that it makes the SDK register its handlers with. */
const VARIABLES = [undefined, 'hookline', 'local'];

test.each(VARIABLES)(
  'a World that was set with setWorld() is used, with WORKFLOW_TARGET_WORLD=%s',
  async (target) => {
    const script = join(ROOT, '__test__', 'environments', 'given-world.mjs');
    const env: NodeJS.ProcessEnv = { ...process.env, WORKFLOW_TARGET_WORLD: target };
    if (target === undefined) delete env.WORKFLOW_TARGET_WORLD;
    const folder = newFolder();
    const ended = await runNode([script, folder], { env });
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    const record = { record: 'bill: approved by Ada', decision: { approved: true, by: 'Ada' } };
    expect(JSON.parse(ended.stdout.trim().split('\n').at(-1) as string)).toEqual({
      sdk: record,
      imported: record,
      required: record,
      isRun: true,
      madeDatabase: false,
    });
  },
  LIMIT_MS,
);
