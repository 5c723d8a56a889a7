/** The SDK's own command line on a database that an app is using. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './crash/harness';
import { type App, cleanUp as endApps, startApp } from './sdk/harness';
import { childEnv, cleanUp, newDatabase, newFolder, newWorld, ROOT, runNode } from './support';

const CLI = join(ROOT, 'node_modules', 'workflow', 'bin', 'run.js');
const runs: Record<string, string> = {};
const database = newDatabase();
let app: App;

beforeAll(async () => {
  app = await startApp({ data: newFolder(), env: { WORKFLOW_HOOKLINE_URL: database } });
  runs.done = await app.start('approval', 'done', 'holidays');
  await app.hooksReady('done');
  await app.resume('hookline', 'done', { approved: true, by: 'Ada' });
  await app.result(runs.done);
  runs.waiting = await app.start('approval', 'waiting', 'a raise');
  await app.hooksReady('waiting');
  runs.streaming = await app.start('streaming', join(ROOT, 'package.json'));
  await app.result(runs.streaming);
  await appIsIdle();
}, 120_000);

afterAll(endApps);
afterAll(cleanUp);

/** The result of a run is there before its delivery has ended. */
async function appIsIdle(): Promise<void> {
  const reader = newWorld({ url: database, role: 'reader' });
  await until('the end of all deliveries', 60_000, async () => {
    const { due, leased } = (await reader.stats()).messages;
    return due + leased === 0;
  });
  await reader.close();
}

async function workflow(args: string[]) {
  const { code, stdout, stderr } = await runNode([CLI, ...args, '--backend', 'hookline'], {
    env: childEnv({ WORKFLOW_HOOKLINE_URL: database, PORT: new URL(app.url).port }),
  });
  return { code, stdout, output: stdout + stderr };
}

async function inspected(...args: string[]) {
  const { code, stdout, output } = await workflow(['inspect', ...args, '--json']);
  expect({ code, output }).toMatchObject({ code: 0 });
  const found = JSON.parse(stdout);
  return found.data ?? found;
}

/** What is in the file of the database and in its log. */
function content(): string {
  const hash = createHash('sha256');
  for (const end of ['', '-wal']) {
    if (existsSync(database + end)) hash.update(readFileSync(database + end));
  }
  return hash.digest('hex');
}

test('inspect shows runs, steps, events, hooks and streams, and writes nothing', async () => {
  const before = content();
  const ids = (await inspected('runs')).map(({ runId }: { runId: string }) => runId);
  expect(ids.sort()).toEqual(Object.values(runs).sort());
  expect(await inspected('run', runs.done as string)).toMatchObject({ status: 'completed' });
  expect(await inspected('steps', '--runId', runs.done as string)).toMatchObject([
    { status: 'completed' },
  ]);
  const events = await inspected('events', '--runId', runs.done as string);
  expect(events.map(({ eventType }: { eventType: string }) => eventType)).toContain(
    'hook_received',
  );
  expect(await inspected('hooks')).toMatchObject([{ token: 'waiting', runId: runs.waiting }]);
  expect(JSON.stringify(await inspected('streams', '--runId', runs.streaming as string))).toContain(
    'strm_',
  );
  expect(content()).toBe(before);
}, 120_000);

test('a page of a terminal is readable too', async () => {
  const { code, stdout } = await workflow(['inspect', 'runs']);
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('completed') });
}, 60_000);

test('the health check goes through the queue and comes back by a stream', async () => {
  const { code, output } = await workflow(['health']);
  expect({ code, output }).toMatchObject({ code: 0 });
  expect(output).toContain('All endpoints are healthy');
}, 120_000);

test('a run is cancelled from the command line', async () => {
  const { code, output } = await workflow(['cancel', runs.waiting as string]);
  expect({ code, output }).toMatchObject({ code: 0 });
  expect(await inspected('run', runs.waiting as string)).toMatchObject({ status: 'cancelled' });
}, 60_000);
