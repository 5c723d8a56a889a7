import { createTestWorld } from 'hookline/testing';
import { POST } from '../app/api/resume/route';

const post = (token: string, data: object) =>
  POST(new Request('http://test', { method: 'POST', body: JSON.stringify({ token, data }) }));

test('approving resumes the hook', async () => {
  const world = createTestWorld();
  await world.seedHook({ token: 'invoice-7', metadata: { invoice: 7 } });
  expect((await post('invoice-7', { approved: true })).status).toBe(200);
  expect(await world.resumes()).toMatchObject([{ payload: { approved: true } }]);
});

test('a token that nobody waits for is 404', async () => {
  createTestWorld();
  expect((await post('nobody', {})).status).toBe(404);
});
