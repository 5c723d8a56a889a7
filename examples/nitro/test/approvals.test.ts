import { createTestWorld } from 'hookline/testing';
import { H3 } from 'nitro/h3';
import { expect, test } from 'vitest';
import show from '../server/api/approvals/[token].get';
import decide from '../server/api/approvals/[token].post';

const app = new H3().get('/approvals/:token', show).post('/approvals/:token', decide);

const answer = (token: string) =>
  app.request(`/approvals/${token}`, {
    method: 'POST',
    body: JSON.stringify({ approved: true, by: 'Ada' }),
  });

test('deciding resumes the hook', async () => {
  const world = createTestWorld();
  const metadata = { invoice: '1001', amount: 420 };
  const { runId } = await world.seedHook({ token: 'invoice-1001', metadata });
  const shown = await app.request('/approvals/invoice-1001');
  expect(await shown.json()).toEqual({ runId, metadata });
  expect((await answer('invoice-1001')).status).toBe(200);
  expect(await world.resumes()).toMatchObject([{ payload: { approved: true, by: 'Ada' } }]);
});

test('a token that nobody waits for is 404', async () => {
  createTestWorld();
  expect((await answer('nobody')).status).toBe(404);
});
