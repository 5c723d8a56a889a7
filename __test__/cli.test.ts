/** `npx hookline` on a live database, as a child process. */
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import type { World } from 'hookline';
import { createTestWorld } from 'hookline/testing';
import { CLI, findings, hookline, hooklineJson } from './command-line';
import { until } from './crash/harness';
import { cleanUp as endApps, freshData, startApp } from './sdk/harness';
import {
  cleanUp,
  devalueString,
  newDatabase,
  newFolder,
  newHook,
  newRun,
  newWorld,
  ROOT,
  runNode,
} from './support';

afterAll(endApps);
afterAll(cleanUp);

const cli = (url: string, args: string[], env: Record<string, string> = {}) =>
  hookline(['--url', url, ...args], { env });
const json = (url: string, args: string[], env: Record<string, string> = {}) =>
  hooklineJson(['--url', url, ...args], { env });

describe('on a database that is in use', () => {
  const url = newDatabase();
  let world: World;
  let runId: string;

  beforeAll(async () => {
    world = newWorld({ url });
    runId = await newRun(world, { workflowName: 'workflow//./orders//order' });
    await newHook(world, 'order-1-secret', { runId, metadata: devalueString('first') });
    await world.events.create(runId, {
      eventType: 'step_created',
      specVersion: 3,
      correlationId: 'step_1',
      eventData: { stepName: 'step//./orders//pay', input: devalueString('x') },
    });
    await world.queue(
      '__wkf_step_step//./orders//pay',
      { workflowRunId: runId, stepId: 'step_1' },
      {
        idempotencyKey: 'step_1',
      },
    );
    await world.events.create(runId, {
      eventType: 'step_started',
      specVersion: 3,
      correlationId: 'step_1',
    });
    await world.events.create(runId, {
      eventType: 'step_retrying',
      specVersion: 3,
      correlationId: 'step_1',
      eventData: {
        error: { message: 'the bank is closed' },
        retryAfter: new Date(Date.now() + 60_000),
      },
    });
    await world.events.create(runId, {
      eventType: 'wait_created',
      specVersion: 3,
      correlationId: 'wait_1',
      eventData: { resumeAt: new Date(Date.now() + 86_400_000) },
    });
  });

  test('runs are listed, as a table and as JSON, filtered', async () => {
    const { code, stdout } = await cli(url, ['runs']);
    expect({ code, listed: stdout.includes(runId) }).toEqual({ code: 0, listed: true });
    expect(stdout).toMatch(/ order +│ running /);
    expect((await json(url, ['runs', '--status', 'running'])).value).toMatchObject([{ runId }]);
    expect((await json(url, ['runs', '--status', 'failed'])).value).toEqual([]);
  });

  test('runs are found by the name of their workflow, the stored one and that of the function', async () => {
    for (const workflow of ['order', 'workflow//./orders//order']) {
      const { value } = await json(url, ['runs', '--workflow', workflow]);
      expect(value).toMatchObject([{ runId, workflowName: 'workflow//./orders//order' }]);
    }
    for (const workflow of ['orde', 'orders', 'workflow//./orders//other']) {
      expect((await json(url, ['runs', '--workflow', workflow])).value).toEqual([]);
    }
  });

  test('runs of a workflow are found behind many runs of others, up to the limit', async () => {
    const crowded = newDatabase();
    const many = newWorld({ url: crowded });
    for (const name of ['workflow//./a//wanted', 'workflow//./b//wanted'])
      await newRun(many, { workflowName: name });
    await Promise.all(
      Array.from({ length: 1100 }, () => newRun(many, { workflowName: 'workflow//./a//other' })),
    );
    const { value } = await json(crowded, ['runs', '--workflow', 'wanted']);
    expect(value).toHaveLength(2);
    const one = await json(crowded, ['runs', '--workflow', 'wanted', '--limit', '1']);
    expect(one.value).toMatchObject([{ workflowName: 'workflow//./b//wanted' }]);
  });

  test('a file of variables that is missing is named', async () => {
    const file = join(newFolder(), 'no.env');
    const stderr = expect.stringContaining(
      `--env-file ${file} cannot be read: there is no such file`,
    );
    // Before the two dashes Node 20 reads the option itself.
    const ended = await runNode(['--', CLI, 'runs', '--env-file', file]);
    expect(ended).toMatchObject({ code: 2, stderr });
  });

  test('hooks are listed without their tokens, unless they are asked for', async () => {
    const { stdout } = await cli(url, ['hooks']);
    expect(stdout).toContain('orde…et');
    expect(stdout).not.toContain('order-1-secret');
    const { value } = await json(url, ['hooks', '--tokens', '--run', runId]);
    expect(value).toMatchObject([{ token: 'order-1-secret', runId }]);
  });

  test('a run is explained: what it waits for, since when, what wakes it, its last error', async () => {
    const { code, stdout } = await cli(url, ['explain', runId]);
    expect(code).toBe(0);
    expect(stdout).not.toContain('order-1-secret');
    expect(stdout).toContain('the bank is closed');
    const { value } = await json(url, ['explain', runId]);
    expect(value).toMatchObject({
      status: 'running',
      waitingFor: expect.arrayContaining([
        expect.objectContaining({ kind: 'hook', since: expect.any(String) }),
        expect.objectContaining({ kind: 'step', id: 'step_1', until: expect.any(String) }),
        expect.objectContaining({ kind: 'sleep', id: 'wait_1', until: expect.any(String) }),
      ]),
      lastError: { of: 'step step//./orders//pay', message: 'the bank is closed' },
    });
    const next = value.next.map(({ what }: { what: string }) => what);
    expect(next).toEqual([
      expect.stringMatching(/^a step \(msg_.*due, waits for a worker/),
      'resumeHook() for one of its tokens',
    ]);
  });

  test('a hook is resumed by its token; the payload is JSON', async () => {
    const sent = await json(url, ['resume', 'order-1-secret', '{"paid":true}']);
    expect(sent).toMatchObject({ code: 0, value: { runId } });
    const { data } = await world.events.list({
      runId,
      pagination: { sortOrder: 'desc', limit: 1 },
    });
    expect(data[0]).toMatchObject({ eventType: 'hook_received' });
    const payload = (data[0] as { eventData?: { payload: Uint8Array } }).eventData?.payload;
    expect(new TextDecoder().decode(payload)).toContain('paid');
    const wrong = await cli(url, ['resume', 'order-1-secret', '{secret']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).not.toContain('{secret');
    const unknown = await cli(url, ['resume', 'no-such-token', '{}']);
    expect(unknown).toMatchObject({ code: 3, stdout: '' });
    // A workflow that expects an answer must not get an empty one by accident.
    expect(await cli(url, ['resume', 'order-1-secret'])).toMatchObject({ code: 2, stdout: '' });
  });

  test('a backup is taken while the database is written, opens as a World, and never overwrites', async () => {
    const file = join(newFolder(), 'backup.db');
    let writing = true;
    const writer = (async () => {
      while (writing) await newRun(world);
    })();
    const { code, value } = await json(url, ['backup', file]);
    writing = false;
    await writer;
    expect({ code, value }).toMatchObject({ code: 0, value: { file, runs: expect.any(Number) } });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(existsSync(`${file}.partial`)).toBe(false);
    const copy = newWorld({ url: file, role: 'reader' });
    expect((await copy.hooks.getByToken('order-1-secret')).runId).toBe(runId);
    const before = readFileSync(file);
    expect((await cli(url, ['backup', file])).code).toBe(1);
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  test('the doctor finds a sound database sound, and names what others may read', async () => {
    chmodSync(url, 0o600);
    const { value } = await json(url, ['doctor'], { WORKFLOW_TARGET_WORLD: 'hookline', PORT: '' });
    const of = (what: string) =>
      value.findings.find((finding: { what: string }) => finding.what === what);
    expect(of('Native addon')).toMatchObject({ state: 'good' });
    expect(of('Database')).toMatchObject({
      state: 'good',
      found: expect.stringContaining('sound'),
    });
    expect(of('Permissions')).toMatchObject({ state: 'good' });
    expect(of('Workflow SDK')).toMatchObject({ state: 'good' });
    chmodSync(url, 0o644);
    const { stdout } = await cli(url, ['doctor'], { PORT: '' });
    expect(stdout).toContain('chmod 600');
    chmodSync(url, 0o600);
  });
});

test('a database that is not there is said to be missing, and is not made', async () => {
  const url = newDatabase();
  for (const args of [
    ['runs'],
    ['hooks'],
    ['explain', 'wrun_x'],
    ['resume', 't', '{}'],
    ['backup', 'x'],
  ]) {
    expect(await cli(url, args)).toMatchObject({ code: 3, stderr: expect.stringContaining(url) });
  }
  expect(existsSync(url)).toBe(false);
});

test('a damaged database is a problem with exit code 4', async () => {
  const url = newDatabase();
  const world = newWorld({ url });
  for (let n = 0; n < 50; n += 1) await newRun(world);
  await world.close();
  const bytes = readFileSync(url);
  bytes.fill(0xff, bytes.length - 4096 * 3, bytes.length - 4096);
  writeFileSync(url, bytes);
  const { code, value } = await json(url, ['doctor'], { PORT: '' });
  expect(code).toBe(4);
  expect(value.findings).toContainEqual(
    expect.objectContaining({
      what: 'Database',
      state: 'problem',
      found: expect.stringContaining('damaged'),
    }),
  );
});

test('wrong usage has its own exit code, and help has none', async () => {
  expect((await cli('x.db', ['runs', '--status', 'sleeping'])).code).toBe(2);
  expect((await cli('x.db', ['no-such-command'])).code).toBe(2);
  expect(await cli('x.db', ['--help'])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('Exit codes'),
  });
  expect(await cli('x.db', ['--version'])).toMatchObject({ code: 0 });
  expect(await cli('x.db', ['runs', '--limit', 'many'])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^error .*--limit.*It must be a whole number, 1 or more\.\n$/),
  });
  expect(await cli('x.db', [])).toMatchObject({ code: 2, stdout: '' });
});

test('for a script every error is JSON, also that of wrong usage, and notes are left out', async () => {
  const wrong: [number, string[]][] = [
    [2, ['no-such-command']],
    [2, ['runs', '--status', 'sleeping']],
    [2, ['redrive']],
    [3, ['runs']],
    [3, ['import', '--from', join(newFolder(), 'nowhere')]],
  ];
  for (const [code, args] of wrong) {
    const said = await json(join(newFolder(), 'x.db'), args);
    expect(said).toMatchObject({ code, value: undefined });
    expect(JSON.parse(said.stderr)).toEqual({
      error: { name: expect.any(String), message: expect.any(String) },
    });
  }
  expect(await json('x.db', ['keygen'])).toMatchObject({ code: 0, stderr: '' });
});

test('a token that begins with a dash is given behind two, and is never taken for an option', async () => {
  const url = newDatabase();
  const world = newWorld({ url });
  const token = '-Very-secret';
  await newHook(world, token);
  for (const taken of [await cli(url, ['resume', token]), await json(url, ['resume', token])]) {
    expect(taken.code).toBe(2);
    expect(taken.stderr).toContain('hookline resume -- <token>');
    expect(taken.stderr).not.toContain('secret');
  }
  expect(await cli(url, ['resume', '--', token, '{"ok":true}'])).toMatchObject({ code: 0 });
});

test('a message that was given up is listed, is a problem for the doctor, and can be put back', async () => {
  const given = createTestWorld();
  given.createQueueHandler('__wkf_step_', async () => {
    throw new Error('the printer is on fire');
  });
  const { messageId } = await given.queue('__wkf_step_print', { page: 1 });
  await given.drain({ skipSleeps: true });
  const url = join(newFolder(), 'given-up.db');
  await given.backup(url);
  await given.close();

  expect((await json(url, ['stats'])).value).toMatchObject({ messages: { due: 0, dead: 1 } });
  expect((await cli(url, ['dead'])).stdout).toContain('the printer is on fire');
  const { code, value } = await json(url, ['doctor'], { PORT: '' });
  expect({ code, findings: value.findings }).toMatchObject({
    code: 4,
    findings: expect.arrayContaining([
      expect.objectContaining({ what: 'Queue', state: 'problem' }),
    ]),
  });
  expect((await cli(url, ['redrive'])).code).toBe(2);
  const unknown = 'msg_01K00000000000000000000000';
  const named = await json(url, ['redrive', unknown, messageId as string, 'no-message']);
  expect(named).toMatchObject({ code: 3, value: [{ messageId }] });
  expect(named.stderr).toContain(unknown);
  expect(await json(url, ['redrive', '--all'])).toMatchObject({ code: 0, value: [] });
  expect((await json(url, ['stats'])).value).toMatchObject({ messages: { due: 1, dead: 0 } });
});

test('a run is cancelled, or failed with a message, once', async () => {
  const url = newDatabase();
  const world = newWorld({ url });
  const [cancelled, failed] = [await newRun(world), await newRun(world)];
  expect((await json(url, ['cancel', cancelled])).value).toEqual({
    runId: cancelled,
    status: 'cancelled',
  });
  expect((await cli(url, ['fail', failed])).code).toBe(2);
  expect((await cli(url, ['fail', failed, '--message', 'nobody needs it'])).code).toBe(0);
  expect((await world.runs.get(cancelled)).status).toBe('cancelled');
  expect(await world.runs.get(failed)).toMatchObject({
    status: 'failed',
    error: { message: 'nobody needs it' },
  });
  expect((await cli(url, ['fail', failed, '--message', 'again'])).code).toBe(1);
  expect((await cli(url, ['cancel', 'wrun_01K00000000000000000000000'])).code).toBe(3);
});

test('a command takes the queue names of the database, which only the app knows', async () => {
  process.env.WORKFLOW_QUEUE_NAMESPACE = 'custom';
  const url = newDatabase();
  const world = newWorld({ url, delivery: 'direct' });
  const woken = new Promise<string>((resolve) => {
    world.createQueueHandler('__custom_wkf_workflow_', async (_, { queueName }) => {
      resolve(queueName);
    });
  });
  const runId = await newRun(world);
  await newHook(world, 'named', { runId });
  delete process.env.WORKFLOW_QUEUE_NAMESPACE;
  expect((await cli(url, ['resume', 'named', '1'])).code).toBe(0);
  await world.start();
  expect(await woken).toMatch(/^__custom_wkf_workflow_/);
  expect((await cli(url, ['cancel', runId])).code).toBe(0);
});

test('looking changes nothing in the database', async () => {
  const url = newDatabase();
  const world = newWorld({ url });
  const runId = await newRun(world);
  await world.close();
  const content = readFileSync(url);
  for (const args of [
    ['runs'],
    ['hooks'],
    ['stats'],
    ['dead'],
    ['held'],
    ['explain', runId],
    ['doctor'],
  ]) {
    expect([0, 4]).toContain((await cli(url, args, { PORT: '' })).code);
  }
  expect(readFileSync(url).equals(content)).toBe(true);
});

test('a generated key opens a World, and no two are alike', async () => {
  const entries = await Promise.all([
    cli('x.db', ['keygen', '--id', 'a']),
    cli('x.db', ['keygen']),
  ]);
  const [first, second] = entries.map(({ stdout }) => stdout.trim());
  expect(first).toMatch(/^a:[A-Za-z0-9+/]{43}=$/);
  expect(second).not.toBe(first);
  const world = newWorld({ encryptionKeys: [second as string, first as string] });
  await newHook(world, 'sealed');
  expect((await cli('x.db', ['keygen', '--id', 'no spaces'])).code).toBe(2);
});

test('no text of the database steers the terminal', async () => {
  const url = newDatabase();
  const world = newWorld({ url });
  const runId = await newRun(world);
  const message = 'red \u001b[31m, title \u001b]0;x\u0007, \u009b2J';
  const eventData = { error: { message } };
  await world.events.create(runId, { eventType: 'run_failed', specVersion: 3, eventData });
  for (const args of [['runs'], ['explain', runId]]) {
    const { stdout } = await cli(url, args);
    expect(stdout).toContain('red \ufffd[31m');
    expect(stdout).not.toMatch(/(?!\n)\p{Cc}/u);
  }
});

test('an unknown run is not found', async () => {
  const url = newDatabase();
  await newRun(newWorld({ url }));
  expect((await cli(url, ['explain', 'wrun_01Q3DCBDA110YQP8B6AYZVYACC'])).code).toBe(3);
});

test('the doctor names an address that no delivery reaches', async () => {
  const url = newDatabase();
  await newRun(newWorld({ url }));
  const { code, value } = await json(url, ['doctor'], {
    WORKFLOW_LOCAL_BASE_URL: 'ftp://localhost:3000',
  });
  expect({ code, findings: value.findings }).toMatchObject({
    code: 4,
    findings: expect.arrayContaining([expect.objectContaining({ what: 'App', state: 'problem' })]),
  });
});

test('the doctor tells the app from another program at its port', async () => {
  const found = async (baseUrl: string) => {
    const env = { WORKFLOW_HOOKLINE_BASE_URL: baseUrl };
    const { value } = await json(newDatabase(), ['doctor'], env);
    return value.findings.find(({ what }: { what: string }) => what === 'App');
  };
  const app = await startApp({ data: freshData() });
  expect(await found(`${app.url}/`)).toMatchObject({ state: 'good', found: `${app.url}/ answers` });
  await app.stop();
  expect(await found(app.url)).toMatchObject({ state: 'warning' });

  const other = createServer((_request, response) => response.end('{"healthy":true}')).listen(0);
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  expect(await found(`http://localhost:${port}`)).toMatchObject({
    state: 'problem',
    found: expect.stringContaining('answers 200, not as a workflow app'),
  });
  other.close().closeAllConnections();
}, 90_000);

describe('the doctor does not ask for the variable', () => {
  const EMPTY = { WORKFLOW_TARGET_WORLD: '', PORT: '', WORKFLOW_HOOKLINE_BASE_URL: '' };

  /** What it says of the World of the SDK, in a folder with these files, where hookline is installed. */
  async function chosen(files: Record<string, string>, env: Record<string, string> = {}) {
    return (await foundIn(files, env)).get('World of the SDK');
  }

  async function foundIn(files: Record<string, string>, env: Record<string, string> = {}) {
    const folder = newFolder();
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(ROOT, join(folder, 'node_modules', 'hookline'), 'junction');
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    const where = { cwd: folder, env: { ...EMPTY, ...env } };
    const found = await findings(['--url', newDatabase()], where);
    return new Map(found.map((finding) => [finding.what, finding]));
  }

  test('where a file of variables, withHookline() or a script sets it', async () => {
    const good = (by: string) => ({ state: 'good', found: expect.stringContaining(by) });
    expect(await chosen({ '.env': 'A=1\nWORKFLOW_TARGET_WORLD="hookline"\n' })).toMatchObject(
      good('.env'),
    );
    const config = 'export default withWorkflow(withHookline({}));';
    expect(await chosen({ 'next.config.ts': config })).toMatchObject(good('withHookline()'));
    const scripts = { start: 'WORKFLOW_TARGET_WORLD=hookline node server.js' };
    expect(await chosen({ 'package.json': JSON.stringify({ scripts }) })).toMatchObject(
      good('package.json'),
    );
  });

  test('nor for the SDK, in the folder of an agent on eve', async () => {
    const eve = { 'node_modules/eve/package.json': JSON.stringify({ version: '0.80.1' }) };
    const agent = "defineAgent({ experimental: { workflow: { world: 'hookline' } } });";
    const said = await foundIn({ ...eve, 'agent/agent.ts': agent });
    expect(said.get('Workflow SDK')).toMatchObject({
      state: 'good',
      found: 'that of eve 0.80.1',
    });
    expect(said.get('World of the SDK')).toMatchObject({
      state: 'good',
      found: 'hookline, by agent/agent.ts',
    });
    const local = await foundIn({ ...eve, 'agent/agent.ts': 'defineAgent({});' });
    expect(local.get('World of the SDK')).toMatchObject({
      state: 'warning',
      fix: expect.stringContaining("world: 'hookline'"),
    });
  });

  test('but where nothing sets it, or to another World', async () => {
    const example = { '.env.example': 'WORKFLOW_TARGET_WORLD=hookline' };
    expect(await chosen(example)).toMatchObject({ state: 'warning' });
    expect(await chosen({ '.env': 'WORKFLOW_TARGET_WORLD=local' })).toMatchObject({
      state: 'warning',
      found: expect.stringContaining('.env says local'),
    });
    const local = { WORKFLOW_TARGET_WORLD: 'local' };
    expect(await chosen({ '.env': 'WORKFLOW_TARGET_WORLD=hookline' }, local)).toMatchObject({
      state: 'warning',
    });
  });
});

test('the doctor finds the app where its worker has found it', async () => {
  const data = freshData();
  const app = await startApp({ data, env: { WORKFLOW_HOOKLINE_DELIVERY: 'http' } });
  const url = join(data, 'hookline.db');
  const runId = await app.start('echo', 1);
  await app.result(runId);
  const env = { PORT: '', WORKFLOW_HOOKLINE_BASE_URL: '', WORKFLOW_LOCAL_BASE_URL: '' };
  const ask = async () => {
    const { value } = await json(url, ['doctor'], env);
    return value.findings.filter(({ what }: { what: string }) => /App|Workers/.test(what));
  };
  // The worker writes down what it knows every two seconds.
  await until('its address', 20_000, async () =>
    (await ask()).some(
      ({ what, found }: { what: string; found: string }) =>
        what === 'App' && found.includes(new URL(app.url).port),
    ),
  );
  expect(await ask()).toEqual([
    expect.objectContaining({ what: 'Workers', state: 'good' }),
    expect.objectContaining({ what: 'App', state: 'good', found: `${app.url} answers` }),
  ]);
  await app.stop();
}, 90_000);
