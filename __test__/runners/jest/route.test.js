const { createTestWorld } = require('hookline/testing');
const { getHookByToken } = require('hookline');
const { POST } = require('./route');

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
  await world.failCommit(1, { code: 'STORAGE_FULL' });
  expect((await post('shared', {})).status).toBe(500);
  expect(await world.resumes('shared')).toEqual([]);
  expect((await post('shared', {})).status).toBe(200);
  expect(await world.resumes('shared')).toHaveLength(1);
});

test('jest.resetModules() does no harm', async () => {
  const world = createTestWorld();
  await world.seedHook({ token: 'shared' });
  jest.resetModules();
  const again = require('./route');
  const body = JSON.stringify({ token: 'shared', data: 1 });
  const response = await again.POST(new Request('http://test', { method: 'POST', body }));
  expect(response.status).toBe(200);
  expect(await world.resumes()).toMatchObject([{ payload: 1 }]);
  const later = require('hookline/testing').createTestWorld();
  expect((await again.POST(new Request('http://test', { method: 'POST', body }))).status).toBe(404);
  expect(await later.resumes()).toEqual([]);
});

test('time goes on when the test says so, for the World and for Date', async () => {
  const world = createTestWorld({ now: '2031-05-06T07:08:09Z' });
  expect(new Date().toISOString()).toMatch(/^2031-05-06T07:08/);
  expect((await world.seedHook()).createdAt.toISOString()).toMatch(/^2031-05-06T07:08/);
  await world.queue('__wkf_workflow_later', { text: 'later' }, { delaySeconds: 3600 });
  await world.drain();
  expect(world.deliveries()).toEqual([]);
  await world.advance('59m');
  expect(world.deliveries()).toEqual([]);
  await world.advance('1m');
  expect(world.deliveries()).toMatchObject([{ message: { text: 'later' } }]);
  expect(new Date().toISOString()).toMatch(/^2031-05-06T08:08/);
  await world.close();
  expect(new Date().getFullYear()).not.toBe(2031);
});
