/**
 * A move from world-local: real runs of the SDK on its own World are imported, and continue here.
 */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hooklineJson } from './command-line';
import { until } from './crash/harness';
import {
  type App,
  cleanUp,
  freshData,
  installedFolder,
  SDKS,
  type Sdk,
  startApp,
} from './sdk/harness';
import { newDatabase, ROOT, cleanUp as removeDatabases } from './support';

afterAll(cleanUp);
afterAll(removeDatabases);

/** Imports in an app that has the SDK. */
async function importFrom(
  sdk: Sdk,
  folder: string,
  url: string,
  variables: Record<string, string> = {},
) {
  const where = { cwd: installedFolder(sdk), env: variables };
  const { value, ...said } = await hooklineJson(['--url', url, 'import', '--from', folder], where);
  return { ...said, report: value };
}

const LIMIT_MS = 60_000;
const runs: Record<string, string> = {};

/**
 * The file of an event of this type. Not every event counts: the import leaves out a second start.
 */
function eventOf(folder: string, eventType: string, runId = ''): string {
  const names = readdirSync(join(folder, 'events'));
  const events = names.filter((name) => name.startsWith(runId) && name.endsWith('.json'));
  const found = events.find((name) => {
    const text = readFileSync(join(folder, 'events', name), 'utf8');
    return JSON.parse(text).eventType === eventType;
  });
  expect(found).toBeDefined();
  return found as string;
}

/** The result of a run of world-local, which writes the end of a run before the event of it. */
async function resultOfLocal(app: App, runId: string): Promise<unknown> {
  const result = await app.result(runId);
  await until('its last event', LIMIT_MS, async () =>
    (await app.eventTypes(runId)).includes('run_completed'),
  );
  return result;
}

/**
 * Makes every kind of run: ended, failed by a conflict, waiting for a hook, for a person, for time.
 */
async function fillLocal(app: App): Promise<void> {
  runs.approved = await app.start('approval', 'done', 'holidays');
  await app.hooksReady('done');
  await app.resume('sdk', 'done', { approved: true, by: 'Ada Lovelace' });
  await resultOfLocal(app, runs.approved);
  runs.waiting = await app.start('approval', 'waiting', 'a raise');
  runs.inbox = await app.start('inbox', 'letters');
  runs.asleep = await app.start('race', 'race', '1 day');
  await app.hooksReady('waiting', 'letters', 'race');
  await app.resume('sdk', 'letters', { n: 1 });
  await app.resume('sdk', 'letters', { n: 2 });
  runs.conflict = await app.start('claim', 'waiting');
  expect(await resultOfLocal(app, runs.conflict)).toEqual({ owner: runs.waiting });
  runs.handedOver = await app.start('oneLetter', 'first', 'second');
  await app.hooksReady('first');
  await app.resume('sdk', 'first', { n: 7 });
  await app.hooksReady('second');
  runs.parallel = await app.start('parallel', 5);
  runs.retrying = await app.start('retrying');
  runs.streaming = await app.start('streaming', join(ROOT, 'package.json'));
  for (const run of [runs.parallel, runs.retrying, runs.streaming]) await resultOfLocal(app, run);
}

/** In a database with keys the import seals the plain values, and they still compare equal. */
async function expectSealedImport(sdk: Sdk, folder: string, url: string): Promise<void> {
  const ring = `a:${Buffer.alloc(32, 7).toString('base64')}`;
  const keys = { WORKFLOW_HOOKLINE_ENCRYPTION_KEYS: ring, WORKFLOW_HOOKLINE_TOKENS: 'sealed' };
  expect(await importFrom(sdk, folder, url, keys)).toMatchObject({
    code: 0,
    report: { failures: [] },
  });
  const bytes = readFileSync(url);
  for (const secret of [
    'holidays',
    'a raise',
    'Ada Lovelace',
    'before the gate',
    'is not the third',
  ]) {
    expect({ secret, found: bytes.includes(secret) }).toEqual({ secret, found: false });
  }
}

describe.each(SDKS)('with the SDK %s', (sdk) => {
  test('runs of world-local go on here: hooks, sleeps and streams as they were', async () => {
    const data = freshData();
    const local = await startApp({ data, sdk, world: 'local' });
    await fillLocal(local);
    await local.stop();
    const [folder, url] = [join(data, 'local'), newDatabase()];

    const first = await importFrom(sdk, folder, url);
    expect(first).toMatchObject({ code: 0, report: { failures: [] } });
    const total = Object.keys(runs).length;
    expect(first.report.runs).toEqual({ total, imported: total, already: 0, failed: 0 });
    expect(first.report.streams).toBeGreaterThan(0);

    const again = await importFrom(sdk, folder, url);
    expect(again.report.runs).toEqual({ total, imported: 0, already: total, failed: 0 });

    await expectSealedImport(sdk, folder, join(data, 'sealed.db'));

    const env = { WORKFLOW_HOOKLINE_URL: url };
    const app = await startApp({ data, sdk, world: 'hookline', env });
    expect(await app.result(runs.approved as string)).toMatchObject({
      record: 'holidays: approved by Ada Lovelace',
    });
    expect(await app.result(runs.retrying as string)).toBe(3);
    const spoken = [];
    for await (const chunk of app.stream(runs.streaming as string)) spoken.push(chunk);
    expect(spoken).toEqual(['before the gate', 'behind the gate']);

    await app.resume('hookline', 'waiting', { approved: false, by: 'Bob' });
    expect(await app.result(runs.waiting as string)).toMatchObject({
      record: 'a raise: rejected by Bob',
    });
    await app.resume('hookline', 'letters', { n: 3, done: true });
    expect(await app.result(runs.inbox as string)).toEqual([1, 2, 3]);
    await app.resume('hookline', 'second', { n: 8 });
    expect(await app.result(runs.handedOver as string)).toEqual([7, 8]);
    await app.resume('hookline', 'race', { answer: 'in time' });
    expect(await app.result(runs.asleep as string)).toBe('in time');
    await app.stop();

    // The log of a continued run begins with the imported events, so the import can still be
    // repeated.
    const afterwards = await importFrom(sdk, folder, url);
    expect(afterwards).toMatchObject({ code: 0, report: { runs: { already: total, failed: 0 } } });
  }, 120_000);

  test('a run that differs is reported and left alone, with exit code 4', async () => {
    const data = freshData();
    const local = await startApp({ data, sdk, world: 'local' });
    const runId = await local.start('parallel', 2);
    await resultOfLocal(local, runId);
    await local.stop();
    const [folder, url] = [join(data, 'local'), join(data, 'hookline.db')];
    expect((await importFrom(sdk, folder, url)).code).toBe(0);

    // Another log under the same id: an event of it is lost.
    const damaged = join(data, 'damaged');
    cpSync(folder, damaged, { recursive: true });
    rmSync(join(damaged, 'events', eventOf(damaged, 'step_completed')));
    const { code, report } = await importFrom(sdk, damaged, url);
    expect({ code, report }).toMatchObject({
      code: 4,
      report: { failures: [{ runId, reason: expect.stringContaining('log') }] },
    });
  }, 60_000);

  // Workflow 4 has no such option.
  (sdk === 'workflow-5' ? test : test.skip)(
    'an ended run with retention 0 is imported without its values, whether the source keeps them or not',
    async () => {
      const data = freshData();
      const local = await startApp({ data, sdk, world: 'local' });
      const start = async (options: object) => {
        const asked = { via: 'sdk', workflow: 'echo', args: ['a private word'], options };
        const { runId } = await local.ask<{ runId: string }>('startVia', asked);
        await local.ask('eventSeen', { runId, type: 'run_completed' });
        return runId;
      };
      const dropped = await start({ experimental_retention: 0 });
      const kept = await start({
        attributes: { $keeping: '0' },
        allowReservedAttributes: true,
      });
      await local.stop();
      // Another World ignores the retention: it has the attribute, and the values.
      const [folder, url] = [join(data, 'local'), newDatabase()];
      const event = join(folder, 'events', eventOf(folder, 'run_created', kept));
      writeFileSync(event, readFileSync(event, 'utf8').replace('"$keeping"', '"$retention"'));
      for (const already of [0, 2]) {
        const { code, report } = await importFrom(sdk, folder, url);
        expect({ code, report }).toMatchObject({
          code: 0,
          report: { failures: [], runs: { already } },
        });
      }
      const env = { WORKFLOW_HOOKLINE_URL: url };
      const app = await startApp({ data, sdk, world: 'hookline', env });
      for (const runId of [dropped, kept]) {
        const { error } = await app.ask<{ error: object }>('askRun', {
          via: 'sdk',
          runId,
          ask: 'returnValue',
        });
        expect(error).toMatchObject({ name: 'RunExpiredError' });
      }
      await app.stop();
    },
    120_000,
  );

  test('a source that is none says what a source is', async () => {
    const data = freshData();
    const { code, stderr } = await importFrom(
      sdk,
      join(data, 'nowhere'),
      join(data, 'hookline.db'),
    );
    expect(code).toBe(3);
    expect(stderr).toContain('world-local folder');
  });
});
