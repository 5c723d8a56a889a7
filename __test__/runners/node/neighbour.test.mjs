// Runs beside route.test.mjs, with the same token.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestWorld } from 'hookline/testing';
import { POST } from './route.mjs';

test('another file has another World', async () => {
  const world = createTestWorld();
  await world.seedHook({ token: 'shared' });
  for (let n = 0; n < 20; n += 1) {
    const body = JSON.stringify({ token: 'shared', data: n });
    await POST(new Request('http://test', { method: 'POST', body }));
  }
  assert.equal((await world.resumes()).length, 20);
});
