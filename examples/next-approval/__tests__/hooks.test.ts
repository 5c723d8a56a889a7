import { createTestWorld } from 'hookline/testing';
import { POST } from '@/app/api/hooks/route';

const post = (token: string) =>
  POST(
    new Request('http://test', {
      method: 'POST',
      body: JSON.stringify({ token, data: { approved: true, by: 'Ada' } }),
    }),
  );

test('deciding resumes the hook', async () => {
  const world = createTestWorld();
  const { runId } = await world.seedHook({ token: 'chairs', metadata: { title: 'New chairs' } });
  const response = await post('chairs');
  expect(await response.json()).toEqual({ runId });
  expect(await world.resumes()).toMatchObject([{ payload: { approved: true, by: 'Ada' } }]);
});

test('a token that nobody waits for is 404', async () => {
  createTestWorld();
  expect((await post('nobody')).status).toBe(404);
});

test('when the disk is full it answers 500, and nothing has happened', async () => {
  const log = jest.spyOn(console, 'error').mockImplementation(() => {});
  const world = createTestWorld();
  await world.seedHook({ token: 'chairs' });
  await world.failCommit(1, { code: 'STORAGE_FULL' });
  expect((await post('chairs')).status).toBe(500);
  expect(await world.resumes()).toEqual([]);
  expect(log).toHaveBeenCalledTimes(1);
});
