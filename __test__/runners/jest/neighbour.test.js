// Runs beside route.test.js, with the same token.
const { createTestWorld } = require('hookline/testing');
const { POST } = require('./route');

test('another file has another World', async () => {
  const world = createTestWorld();
  await world.seedHook({ token: 'shared' });
  for (let n = 0; n < 20; n += 1) {
    const body = JSON.stringify({ token: 'shared', data: n });
    await POST(new Request('http://test', { method: 'POST', body }));
  }
  const payloads = (await world.resumes()).map(({ payload }) => payload);
  expect(payloads).toEqual(Array.from({ length: 20 }, (_, n) => n));
});
