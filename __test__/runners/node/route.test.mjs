import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestWorld } from 'hookline/testing';
import { POST } from './route.mjs';

const post = (token, data) =>
  POST(new Request('http://test', { method: 'POST', body: JSON.stringify({ token, data }) }));

test('approving resumes the hook', async () => {
  const world = createTestWorld();
  await world.seedHook({ token: 'shared' });
  assert.equal((await post('shared', { approved: true })).status, 200);
  const payloads = (await world.resumes()).map(({ payload }) => payload);
  assert.deepEqual(payloads, [{ approved: true }]);
});

test('a World of its own: the hook of the test before is not here', async () => {
  createTestWorld();
  assert.equal((await post('shared', {})).status, 404);
});
