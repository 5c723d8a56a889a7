/** Reads of a database that does not exist: they answer, and make nothing. */
import crypto from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { getHookByToken, getRun, resumeHook, type World, waitForHook } from 'hookline';
import {
  childEnv,
  cleanUp,
  newFolder,
  newHook,
  newRun,
  newWorld,
  ROOT,
  readAll,
  runNode,
  useAsSdkWorld,
} from './support';

const SDK_CLI = join(ROOT, 'node_modules', 'workflow', 'bin', 'run.js');
const EMPTY = { data: [], cursor: null, hasMore: false };
const RUN = 'wrun_01K00000000000000000000000';

/** A path in a folder that does not exist either. */
function nowhere(): string {
  return join(newFolder(), 'folder', 'hookline.db');
}

function isThere(url: string): boolean {
  return existsSync(dirname(url));
}

/** Another process makes the database, with a live hook and a stream. */
function makeElsewhere(url: string) {
  const code = `
    import { createWorld } from 'hookline';
    const world = createWorld({ url: ${JSON.stringify(url)} });
    const eventData = { deploymentId: 'd', workflowName: 'workflow//a', input: new Uint8Array() };
    const { run } = await world.events.create(null, { eventType: 'run_created', specVersion: 3, eventData });
    const created = { eventType: 'hook_created', specVersion: 3, correlationId: 'h', eventData: { token: 'token' } };
    await world.events.create(run.runId, created);
    await world.writeToStream('s', run.runId, 'chunk');
    await world.closeStream('s', run.runId);
    await world.close();
  `;
  return runNode(['--input-type=module', '-e', code], { cwd: ROOT });
}

afterEach(async () => {
  useAsSdkWorld(undefined);
  await cleanUp();
});

describe.each(['all', 'producer', 'reader'] as const)('of a World in the role %s', (role) => {
  test('every read answers as of an empty database, and makes nothing', async () => {
    const url = nowhere();
    const world = newWorld({ url, role });
    useAsSdkWorld(world);
    expect(await world.runs.list()).toEqual(EMPTY);
    expect(await world.steps.list({ runId: RUN })).toEqual(EMPTY);
    expect(await world.events.list({ runId: RUN })).toEqual(EMPTY);
    expect(await world.events.listByCorrelationId({ correlationId: 'a' })).toEqual(EMPTY);
    expect(await world.hooks.list({})).toEqual(EMPTY);
    expect(await world.deadMessages()).toEqual(EMPTY);
    expect((await world.stats()).messages).toMatchObject({ due: 0, sleeping: 0 });
    expect(await world.listStreamsByRunId(RUN)).toEqual([]);
    expect(await world.getStreamInfo('s', RUN)).toEqual({ tailIndex: -1, done: false });
    expect((await world.getStreamChunks('s', RUN)).data).toEqual([]);
    expect(await getRun(RUN).exists).toBe(false);
    const noRun = { name: 'WorkflowRunNotFoundError' };
    const noHook = { name: 'HookNotFoundError', token: 'token' };
    await expect(world.runs.get(RUN)).rejects.toMatchObject(noRun);
    await expect(getRun(RUN).returnValue).rejects.toMatchObject(noRun);
    await expect(world.hooks.getByToken('token')).rejects.toMatchObject(noHook);
    await expect(getHookByToken('token')).rejects.toMatchObject(noHook);
    await expect(waitForHook('token', { timeout: 1 })).rejects.toMatchObject({
      name: 'TimeLimitError',
    });
    await expect(world.runs.list({ pagination: { cursor: '?' } })).rejects.toMatchObject({
      code: 'INVALID',
    });
    await expect(world.backup(join(newFolder(), 'copy.db'))).rejects.toMatchObject({
      code: 'CANNOT_OPEN',
      message: expect.stringContaining(url),
    });
    await world.close();
    expect(isThere(url)).toBe(false);
    await expect(world.runs.list()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('what another process makes meanwhile is seen, and told of', async () => {
    const url = nowhere();
    const world = newWorld({ url, role });
    useAsSdkWorld(world);
    expect((await world.hooks.list({})).data).toEqual([]);
    const hook = waitForHook('token');
    const chunks = readAll(await world.readFromStream('s', -5));
    expect(await makeElsewhere(url)).toMatchObject({ code: 0 });
    expect(await hook).toMatchObject({ token: 'token' });
    expect(await chunks).toEqual(['chunk']);
    expect((await world.hooks.list({})).data).toHaveLength(1);
  });
});

test('a look that failed is tried again by the next', async () => {
  const world = newWorld({ url: nowhere() });
  const failing = jest.spyOn(crypto, 'randomUUID').mockImplementationOnce(() => {
    throw new Error('for now');
  });
  await expect(world.runs.list()).rejects.toThrow('for now');
  failing.mockRestore();
  expect(await world.runs.list()).toEqual(EMPTY);
});

test('the first write makes the database, and every World of the process reads from it', async () => {
  const url = nowhere();
  const [writes, reads]: [World, World] = [newWorld({ url }), newWorld({ url })];
  expect([await writes.runs.list(), await reads.runs.list()]).toEqual([EMPTY, EMPTY]);
  const { runId } = await newHook(writes, 'token');
  for (const world of [writes, reads]) {
    expect((await world.runs.list()).data).toMatchObject([{ runId }]);
  }
  useAsSdkWorld(reads);
  await resumeHook('token', {});
  expect((await writes.events.list({ runId })).data.at(-1)).toMatchObject({
    eventType: 'hook_received',
  });
});

test('a World that only reads starts, refuses to write, and makes nothing', async () => {
  const url = nowhere();
  const world = newWorld({ url, role: 'reader' });
  await world.start();
  const refused = { name: 'WorkflowWorldError', code: 'READ_ONLY', status: 400 };
  await expect(newRun(world)).rejects.toMatchObject(refused);
  await expect(world.writeToStream('s', RUN, 'x')).rejects.toMatchObject(refused);
  expect(isThere(url)).toBe(false);
});

test('a request to the route of a World that nobody has used makes nothing', async () => {
  const url = nowhere();
  const handle = newWorld({ url }).createQueueHandler('__wkf_workflow_', async () => {});
  const headers = {
    'x-vqs-queue-name': '__wkf_workflow_a',
    'x-vqs-message-id': 'msg_1',
    'x-vqs-message-attempt': '1',
    'x-hookline-lease': 'a guess',
  };
  const request = new Request('http://test', { method: 'POST', body: '{}', headers });
  expect((await handle(request)).status).toBe(401);
  expect(isThere(url)).toBe(false);
});

test('an abandoned wait for what never comes ends with the World', async () => {
  const world = newWorld({ url: nowhere() });
  useAsSdkWorld(world);
  const hook = waitForHook('token');
  const told = expect(hook).rejects.toMatchObject({ code: 'CLOSED' });
  await world.close();
  await told;
  const aborted = new AbortController();
  useAsSdkWorld(newWorld({ url: nowhere() }));
  const other = waitForHook('token', { signal: aborted.signal });
  aborted.abort(new Error('enough'));
  await expect(other).rejects.toThrow('enough');
});

test("the SDK's command line shows nothing, says where it looked, and makes nothing", async () => {
  const folder = newFolder();
  const url = join(folder, 'mistyped', 'hookline.db');
  const env = childEnv({ WORKFLOW_HOOKLINE_URL: url });
  for (const what of ['runs', 'hooks']) {
    const args = [SDK_CLI, 'inspect', what, '--json', '--backend', 'hookline'];
    const { code, stdout, stderr } = await runNode(args, { env });
    expect({ code, stdout, stderr }).toMatchObject({ code: 0 });
    const found = JSON.parse(stdout);
    expect(found.data ?? found).toEqual([]);
    expect(stderr).toContain(`There is no database at ${url}.`);
    expect(stderr.split(url)).toHaveLength(2);
  }
  expect(readdirSync(folder)).toEqual([]);
}, 60_000);
