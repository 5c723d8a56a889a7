import { hkdfSync, webcrypto } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createWorld, getHookByToken, getRun, resumeHook, start, type World } from 'hookline';
import { ulid } from 'ulid';
import {
  devalueString,
  loadModule,
  newDatabase,
  newHook,
  newRun,
  newWorld,
  ROOT,
  useAsSdkWorld,
  worldPerTest,
} from './support';

/** The SDK's serializer, to read back what was written. */
const sdk = createRequire(__filename)(join(ROOT, 'dist', 'sdk-4.js'));

const entry = (id: string, byte: number) => `${id}:${Buffer.alloc(32, byte).toString('base64')}`;
const WORKFLOW = { workflowId: 'workflow//./a//b' } as never;

let world: World;
let url: string;

worldPerTest(
  (made) => {
    ({ world, url } = made);
  },
  { encryptionKeys: entry('a', 1) },
);

/** Opens the database of the test again, with another key ring. */
async function reopened(encryptionKeys: string | string[] | undefined): Promise<World> {
  await world.close();
  const other = newWorld({ url, encryptionKeys });
  useAsSdkWorld(other);
  return other;
}

/** The payload of the last event of a run, as it is stored, without the World's own sealing. */
async function lastPayload(runId: string): Promise<Uint8Array> {
  const { data } = await world.events.list({ runId, pagination: { sortOrder: 'desc', limit: 1 } });
  return (data[0] as { eventData: { payload: Uint8Array } }).eventData.payload;
}

test('the key of a run is derived from the newest master key by HKDF-SHA-256', async () => {
  const runId = await newRun(world);
  const key = await world.getEncryptionKeyForRun(runId);
  const expected = hkdfSync('sha256', Buffer.alloc(32, 1), '', `hookline run key 1:${runId}`, 32);
  expect(key).toEqual(new Uint8Array(expected));
  expect(key?.constructor).toBe(Uint8Array);
  expect(await world.getEncryptionKeyForRun(await world.runs.get(runId))).toEqual(key);
});

test('a run that is about to be started has the key that it will have', async () => {
  const runId = 'wrun_01JZZZZZZZZZZZZZZZZZZZZZZZ';
  const before = await world.getEncryptionKeyForRun(runId, { deploymentId: 'dpl' });
  expect(before).toHaveLength(32);
  expect(await world.getEncryptionKeyForRun(`${runId.slice(0, -1)}A`)).not.toEqual(before);
});

test('without a ring there is no key', async () => {
  const plain = newWorld();
  expect(await plain.getEncryptionKeyForRun(await newRun(plain))).toBeUndefined();
});

test('a payload is encrypted by the key of its run, and metadata is read with it', async () => {
  const runId = await newRun(world);
  const raw = (await world.getEncryptionKeyForRun(runId)) as Uint8Array;
  const key = await sdk.importKey(raw);
  const metadata = await sdk.dehydrateStepReturnValue('for you', runId, key);
  await newHook(world, 'token', { runId, metadata });
  expect((await getHookByToken('token')).metadata).toBe('for you');
  expect((await resumeHook('token', { answer: 42 })).metadata).toBe('for you');
  const payload = await lastPayload(runId);
  expect(new TextDecoder().decode(payload.subarray(0, 4))).toBe('encr');
  expect(await sdk.hydrateStepArguments(payload, runId, key)).toEqual({ answer: 42 });
});

test('the key that a caller gives wins over that of the run', async () => {
  const { runId, ...hook } = await newHook(world, 'token');
  const raw = new Uint8Array(32).fill(9);
  const override = await webcrypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt']);
  const reading = await sdk.importKey(raw);
  for (const target of ['token', { ...hook, runId }]) {
    await resumeHook(target as string, 'mine', override);
    expect(await sdk.hydrateStepArguments(await lastPayload(runId), runId, reading)).toBe('mine');
  }
});

test('a run whose SDK could not decrypt gets its payload as it can read it', async () => {
  const { run } = await world.events.create(null, {
    eventType: 'run_created',
    specVersion: 3,
    eventData: {
      deploymentId: 'dpl',
      workflowName: 'workflow//./a//b',
      input: devalueString('x'),
      executionContext: { workflowCoreVersion: '4.1.0' },
    },
  });
  const runId = (run as { runId: string }).runId;
  await newHook(world, 'token', { runId });
  await resumeHook('token', 'plain for the SDK');
  expect(await lastPayload(runId)).toEqual(devalueString('plain for the SDK'));
});

test('start() encrypts the arguments, and the run remembers nothing of it that the SDK sees', async () => {
  const run = await start(WORKFLOW, ['secret']);
  const { input, executionContext } = await world.runs.get(run.runId);
  expect(new TextDecoder().decode((input as Uint8Array).subarray(0, 4))).toBe('encr');
  expect(executionContext).toMatchObject({ features: { encryption: true } });
  expect(JSON.stringify(executionContext)).not.toContain('"a"');
});

test('old keys still read after a rotation, and the run keeps its key', async () => {
  const runId = await newRun(world);
  const before = await world.getEncryptionKeyForRun(runId);
  const rotated = await reopened([entry('b', 2), entry('a', 1)]);
  expect(await rotated.getEncryptionKeyForRun(runId)).toEqual(before);
  const expected = hkdfSync('sha256', Buffer.alloc(32, 2), '', 'hookline run key 1:wrun_x', 32);
  expect(await rotated.getEncryptionKeyForRun('wrun_x')).toEqual(new Uint8Array(expected));
});

test('a worker has the key of the arguments that a delivery brings before their run is there', async () => {
  const runId = `wrun_${ulid()}`;
  const raw = (await world.getEncryptionKeyForRun(runId)) as Uint8Array<ArrayBuffer>;
  const key = await webcrypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt']);
  const iv = webcrypto.getRandomValues(new Uint8Array(12));
  const sealed = await webcrypto.subtle.encrypt(
    { name: 'AES-GCM', iv },
    key,
    Buffer.from('devl[]'),
  );
  const input = new Uint8Array([...Buffer.from('encr'), ...iv, ...new Uint8Array(sealed)]);
  const rotated = await reopened([entry('b', 2), entry('a', 1)]);
  const asked = new Promise((resolve) => {
    rotated.createQueueHandler('__wkf_workflow_', async () => {
      resolve(await rotated.getEncryptionKeyForRun(runId));
    });
  });
  await rotated.start();
  const runInput = { input, deploymentId: 'dpl_hookline', workflowName: 'workflow//./a//b' };
  await rotated.queue('__wkf_workflow_a', { runId, runInput });
  expect(await asked).toEqual(raw);
  expect(await rotated.getEncryptionKeyForRun(runId)).not.toEqual(raw);
});

test('a key that is missing is named by its id, in an error that the runtime retries', async () => {
  const { runId } = await start(WORKFLOW, ['secret']);
  await newHook(world, 'token', { runId });
  const rotated = await reopened([entry('b', 2), entry('a', 1)]);
  await rotated.runs.list({});
  await rotated.close();
  const without = newWorld({ url, encryptionKeys: entry('b', 2) });
  useAsSdkWorld(without);
  const missing = { name: 'WorkflowWorldError', code: 'ENCRYPTION_KEY_MISSING', status: 500 };
  await expect(without.getEncryptionKeyForRun(runId)).rejects.toMatchObject(missing);
  await expect(without.getEncryptionKeyForRun(runId)).rejects.toThrow('"a"');
  await expect(resumeHook('token', 1)).rejects.toMatchObject(missing);
  await expect(without.events.list({ runId })).rejects.toMatchObject(missing);
  // Only operations that need the key are refused.
  expect(await getRun(runId).status).toBe('pending');
});

test('a wrong key is refused by the first operation, named by its id and never shown', async () => {
  await newRun(world);
  const wrong = await reopened(entry('a', 2));
  const refused = wrong.runs.list();
  await expect(refused).rejects.toMatchObject({ code: 'ENCRYPTION_KEY_WRONG', status: 500 });
  await expect(refused).rejects.toThrow(/"a"/);
  const shown = Buffer.alloc(32, 2).toString('base64').slice(0, 12);
  await expect(refused).rejects.not.toThrow(shown);
});

test('a sealed database is not opened without a ring', async () => {
  await newRun(world);
  const plain = await reopened(undefined);
  await expect(plain.runs.list()).rejects.toMatchObject({ code: 'ENCRYPTION_KEY_MISSING' });
});

test.each([
  ['', 'no entry'],
  ['a', 'id:base64'],
  [`a:${Buffer.alloc(31, 7).toString('base64')}`, '32 bytes'],
  [`${entry('a', 7)},${entry('a', 8)}`, 'twice'],
])(
  'a malformed ring %# is an error of the first operation, which does not show it',
  async (ring, why) => {
    process.env.WORKFLOW_HOOKLINE_ENCRYPTION_KEYS = ring || ',';
    const malformed = createWorld({ url: newDatabase() });
    for (const operation of [malformed.runs.list(), malformed.getEncryptionKeyForRun('wrun_x')]) {
      const error = await operation.then(String, (reason) => reason);
      expect(error).toMatchObject({ name: 'WorkflowWorldError', code: 'BAD_CONFIG' });
      expect(error.message).toContain(why);
      expect(error.message).not.toContain('BwcH');
    }
    await malformed.close();
  },
);

test('sealed tokens need a ring', async () => {
  const refused = newWorld({ tokens: 'sealed' }).runs.list();
  await expect(refused).rejects.toMatchObject({ code: 'BAD_CONFIG' });
});

test('Worlds of one process must agree on their keys', async () => {
  await newRun(world);
  const other = newWorld({ url, encryptionKeys: entry('a', 3) });
  await expect(other.runs.list()).rejects.toThrow('WORKFLOW_HOOKLINE_ENCRYPTION_KEYS');
});

test('a sealed token is shown to whoever may read it, and names its hook', async () => {
  const sealing = newWorld({ encryptionKeys: entry('a', 1), tokens: 'sealed' });
  useAsSdkWorld(sealing);
  const { runId, hookId } = await newHook(sealing, 'token', { isWebhook: true });
  const { data } = await sealing.hooks.list({});
  expect(data).toMatchObject([{ token: 'token', hookId, isWebhook: true }]);
  expect(await sealing.hooks.get(hookId)).toMatchObject({ token: 'token' });
  const events = await sealing.events.list({ runId });
  expect(events.data.at(-1)).toMatchObject({ eventData: { token: 'token', isWebhook: true } });
  await expect(resumeHook('guess', 1)).rejects.toMatchObject({ token: 'guess' });
  const once = { idempotencyKey: 'k' };
  expect(await resumeHook('token', 1, once)).toMatchObject({ token: 'token', isWebhook: true });
  expect(await resumeHook('token', 1, once)).toMatchObject({ token: 'token', isWebhook: true });
  await expect(resumeHook('token', 2, once)).rejects.toMatchObject({
    name: 'IdempotencyConflictError',
  });
});

test('a generated entry is a ring', async () => {
  const { newRingEntry } =
    loadModule<typeof import('../ts/cli/ring-entry')>('ts/cli/ring-entry.ts');
  const fresh = newWorld({ encryptionKeys: [newRingEntry('b'), newRingEntry()] });
  expect(await fresh.getEncryptionKeyForRun('wrun_x')).toHaveLength(32);
  expect(newRingEntry()).not.toBe(newRingEntry());
  expect(() => newRingEntry('a b')).toThrow(TypeError);
});
