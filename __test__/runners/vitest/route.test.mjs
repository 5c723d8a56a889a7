import { getHookByToken } from 'hookline';
import { createTestWorld } from 'hookline/testing';
import { expect, test } from 'vitest';
import { POST } from './route.mjs';

const post = (token, data) =>
  POST(new Request('http://test', { method: 'POST', body: JSON.stringify({ token, data }) }));

test('approving resumes the hook', async () => {
  const world = createTestWorld();
  const { runId } = await world.seedHook({ token: 'shared', metadata: { invoice: 7 } });
  const response = await post('shared', { approved: true });
  expect(await response.json()).toEqual({ runId });
  expect(await world.resumes()).toMatchObject([
    { token: 'shared', payload: { approved: true }, resumedAt: expect.any(Date) },
  ]);
  expect((await getHookByToken('shared')).metadata).toEqual({ invoice: 7 });
  await world.drain();
  expect(world.deliveries()).toMatchObject([{ attempt: 1, message: { runId } }]);
});

test('a World of its own: the hook of the test before is not here', async () => {
  createTestWorld();
  expect((await post('shared', {})).status).toBe(404);
});

test('a storage fault is a 500, and nothing was sent', async () => {
  const world = createTestWorld();
  await world.seedHook({ token: 'shared' });
  await world.failCommit();
  expect((await post('shared', {})).status).toBe(500);
  expect(await world.resumes('shared')).toEqual([]);
});

test('time goes on when the test says so', async () => {
  const world = createTestWorld();
  await world.queue('__wkf_workflow_later', { text: 'later' }, { delaySeconds: 86_400 });
  await world.drain();
  expect(world.deliveries()).toEqual([]);
  await world.advance('1d');
  expect(world.deliveries()).toMatchObject([{ message: { text: 'later' } }]);
});
