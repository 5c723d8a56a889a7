import { createTestWorld } from 'hookline/testing';
import { expect, test } from 'vitest';
import app from '../src/index';

const decide = (token: string) =>
  app.request(`/api/approvals/${token}`, {
    method: 'POST',
    body: JSON.stringify({ approved: true, by: 'Ada' }),
  });

test('deciding resumes the hook', async () => {
  const world = createTestWorld();
  await world.seedHook({ token: 'invoice-1001', metadata: { invoice: '1001', amount: 420 } });
  const shown = await app.request('/api/approvals/invoice-1001');
  expect(await shown.json()).toMatchObject({ metadata: { invoice: '1001', amount: 420 } });
  expect((await decide('invoice-1001')).status).toBe(200);
  expect(await world.resumes()).toMatchObject([{ payload: { approved: true, by: 'Ada' } }]);
});

test('a token that nobody waits for is 404', async () => {
  createTestWorld();
  expect((await decide('nobody')).status).toBe(404);
});
