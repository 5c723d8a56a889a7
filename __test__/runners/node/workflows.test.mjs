// Real compiled workflows in a World for tests: the SDK's own runtime, without waiting.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { getHookByToken, resumeHook } from 'hookline';
import { createTestWorld } from 'hookline/testing';
import { getRun, start } from 'workflow/api';

const bundles = process.env.BUNDLES;
const require = createRequire(import.meta.url);
// The handlers register with the present World; the Worlds of the tests below use them too.
createTestWorld();
require(`${bundles}/flow.js`);
require(`${bundles}/step.js`);
const files = Object.values(JSON.parse(readFileSync(`${bundles}/manifest.json`, 'utf8')).workflows);
const workflow = (name) => files.find((file) => file[name])[name];

test('a run waits for its hook, and goes on when it is resumed', async () => {
  const world = createTestWorld();
  const { runId } = await start(workflow('approval'), ['token', 'holidays']);
  await world.drain();
  assert.equal(await getRun(runId).status, 'running');
  await resumeHook('token', { approved: true, by: 'Ada' });
  await world.drain();
  const { record } = await getRun(runId).returnValue;
  assert.equal(record, 'holidays: approved by Ada');
});

test('a hook is waited for by push', async () => {
  const world = createTestWorld();
  const { runId } = await start(workflow('approval'), ['token', 'holidays']);
  const hook = await world.waitForHook('token', { timeout: 30_000 });
  assert.equal(hook.runId, runId);
  assert.equal(hook.metadata.subject, 'holidays');
});

test('streams in the metadata of a seeded hook are written when it is there', async () => {
  const world = createTestWorld();
  const stream = ReadableStream.from(['a', 'b']);
  const { runId } = await world.seedHook({ token: 'token', metadata: { stream } });
  const [name] = await world.listStreamsByRunId(runId);
  assert.deepEqual(await world.getStreamInfo(name, runId), { tailIndex: 1, done: true });
});

test('with keys, what is stored is encrypted and what a test sees is not', async () => {
  const ring = `a:${Buffer.alloc(32, 7).toString('base64')}`;
  process.env.WORKFLOW_HOOKLINE_ENCRYPTION_KEYS = ring;
  try {
    const world = createTestWorld();
    await world.seedHook({ token: 'token', metadata: { subject: 'holidays' } });
    assert.deepEqual((await getHookByToken('token')).metadata, { subject: 'holidays' });
    await resumeHook('token', { approved: true });
    assert.deepEqual((await world.resumes())[0].payload, { approved: true });
  } finally {
    delete process.env.WORKFLOW_HOOKLINE_ENCRYPTION_KEYS;
  }
});

test('a sleep of thirty days is over when the test says so, and not before', async () => {
  const world = createTestWorld();
  const { runId } = await start(workflow('race'), ['token', '30 days']);
  await world.drain();
  await world.advance('29d');
  assert.equal(await getRun(runId).status, 'running');
  await world.advance('1d');
  assert.equal(await getRun(runId).returnValue, 'nobody answered');
});

test('retries need no waiting', async () => {
  const world = createTestWorld();
  const { runId } = await start(workflow('retrying'), []);
  await world.drain({ skipSleeps: true });
  assert.equal(await getRun(runId).returnValue, 3);
  const types = (await world.log(runId)).map(({ eventType }) => eventType);
  assert.equal(types.filter((type) => type === 'step_retrying').length, 2);
});

test('a seeded hook wakes no code', async () => {
  const world = createTestWorld();
  const { runId } = await world.seedHook({ token: 'seeded' });
  await resumeHook('seeded', 1);
  await world.drain();
  assert.equal(world.deliveries().length, 1);
  assert.equal(await getRun(runId).status, 'running');
});

test('a fault while a workflow runs is overcome by another delivery', async () => {
  const world = createTestWorld();
  const { runId } = await start(workflow('approval'), ['token', 'holidays']);
  await world.failCommit(2);
  await world.drain({ skipSleeps: true });
  await resumeHook('token', { approved: false, by: 'Bob' });
  await world.drain({ skipSleeps: true });
  assert.equal((await getRun(runId).returnValue).record, 'holidays: rejected by Bob');
});
