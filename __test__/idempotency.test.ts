/** The options of `resumeHook`, in the place of the SDK's encryption key. */
import { IDEMPOTENCY_WINDOW_MS, resumeHook, type World } from 'hookline';
import { eventTypes, newHook, runNode, worldPerTest } from './support';

let world: World;
let url: string;

worldPerTest((made) => {
  ({ world, url } = made);
});

const received = async (runId: string) =>
  (await eventTypes(world, runId)).filter((type) => type === 'hook_received').length;

test('the same key and payload append once, a hook object comes back as the object', async () => {
  const hook = await newHook(world, 'token');
  const once = { idempotencyKey: 'k' };
  const first = await resumeHook('token', { a: new Map([[1, 2n]]) }, once);
  await expect(resumeHook('token', { a: new Map([[1, 2n]]) }, once)).resolves.toEqual(first);
  await expect(resumeHook(hook, { a: new Map([[1, 2n]]) }, once)).resolves.toBe(hook);
  expect(await received(hook.runId)).toBe(1);
});

test('a key belongs to its token', async () => {
  const hooks = [await newHook(world, 'one'), await newHook(world, 'two')];
  for (const { token } of hooks) await resumeHook(token, 1, { idempotencyKey: 'k' });
  for (const { runId } of hooks) expect(await received(runId)).toBe(1);
});

test('another payload under a key is a conflict, whose message holds no secret', async () => {
  const { runId } = await newHook(world, 'secret token');
  const once = { idempotencyKey: 'secret key' };
  await resumeHook('secret token', 'a', once);
  const error = await resumeHook('secret token', 'b', once).catch((reason) => reason);
  expect(error).toMatchObject({ name: 'IdempotencyConflictError' });
  expect(error).toBeInstanceOf(Error);
  expect(String(error.message)).not.toContain('secret');
  expect(await received(runId)).toBe(1);
});

test('options and keys are told apart, in any realm', async () => {
  const { runId } = await newHook(world, 'token');
  const raw = new Uint8Array(32);
  const key = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt']);
  await resumeHook('token', 1, key as never);
  await resumeHook('token', 2, { encryptionKey: key as never });
  await resumeHook('token', 3, { encryptionKey: key as never, idempotencyKey: 'k' });
  await resumeHook('token', 3, { encryptionKey: key as never, idempotencyKey: 'k' });
  await resumeHook('token', 4, Object.assign(Object.create(null), { idempotencyKey: undefined }));
  await resumeHook('token', 5, {});
  const { data } = await world.events.list({ runId });
  const formats = data.flatMap((event) =>
    event.eventType === 'hook_received'
      ? [new TextDecoder().decode((event.eventData.payload as Uint8Array).subarray(0, 4))]
      : [],
  );
  expect(formats).toEqual(['encr', 'encr', 'encr', 'devl', 'devl']);
});

test.each([
  ['an unknown option', { idempotencykey: 'k' }, 'no option "idempotencykey"'],
  ['an empty key', { idempotencyKey: '' }, 'not empty'],
  ['a key that is no text', { idempotencyKey: 7 as never }, 'must be a string'],
  ['a key that is too long', { idempotencyKey: 'k'.repeat(1025) }, 'at most 1024'],
])('%s is refused before anything is written', async (_what, options, message) => {
  const { runId } = await newHook(world, 'token');
  const refused = resumeHook('token', 1, options as object);
  await expect(refused).rejects.toMatchObject({ message: expect.stringContaining(message) });
  expect(await received(runId)).toBe(0);
});

test('a window is a positive number of milliseconds', async () => {
  const { runId } = await newHook(world, 'token');
  for (const idempotencyWindow of [0, -1, Number.POSITIVE_INFINITY, Number.NaN]) {
    const refused = resumeHook('token', 1, { idempotencyKey: 'k', idempotencyWindow });
    await expect(refused).rejects.toMatchObject({ name: 'WorkflowWorldError', status: 400 });
  }
  expect(await received(runId)).toBe(0);
  expect(IDEMPOTENCY_WINDOW_MS).toBe(604_800_000);
});

test('a payload with streams cannot have a key, and nothing of it is stored', async () => {
  const { runId } = await newHook(world, 'token');
  const payload = { body: new Response('secret').body };
  await expect(resumeHook('token', payload, { idempotencyKey: 'k' })).rejects.toBeInstanceOf(
    TypeError,
  );
  expect(await received(runId)).toBe(0);
  expect(await world.listStreamsByRunId(runId)).toEqual([]);
});

test('a key holds for a call that finds the hook gone, because another process was faster', async () => {
  const { runId } = await newHook(world, 'token');
  const faster = `
    const { createWorld, resumeHook } = require('./dist/index.js');
    const cancelled = { eventType: 'run_cancelled', specVersion: 3 };
    resumeHook('token', 1, { idempotencyKey: 'k' })
      .then((hook) => createWorld().events.create(hook.runId, cancelled));
  `;
  const script = `
    const { execFileSync } = require('node:child_process');
    const { resumeHook } = require('./dist/index.js');
    const { NativeWorld } = require('./native/binding.js');
    const { hookForResume } = NativeWorld.prototype;
    NativeWorld.prototype.hookForResume = function (token) {
      execFileSync(process.execPath, ['-e', ${JSON.stringify(faster)}]);
      return hookForResume.call(this, token);
    };
    resumeHook('token', 1, { idempotencyKey: 'k' }).then(
      (hook) => console.log(hook.runId),
      (error) => console.log(error.name),
    );
  `;
  const env = { ...process.env, WORKFLOW_HOOKLINE_URL: url };
  expect(await runNode(['-e', script], { env })).toMatchObject({
    stdout: `${runId}\n`,
    stderr: '',
  });
  expect((await eventTypes(world, runId)).slice(-2)).toEqual(['hook_received', 'run_cancelled']);
});
