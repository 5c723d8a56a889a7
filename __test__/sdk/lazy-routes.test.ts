/** Apps whose bundler loads a route at its first request, while the SDK's handlers are there already. */
import { cleanUp, freshData, startApp } from './harness';

afterAll(cleanUp);

test('a step that is not loaded in the process is delivered to the app’s own route, which loads it', async () => {
  const app = await startApp({ data: freshData(), env: { APP_LOADS: 'lazily' } });
  expect(await app.result(await app.start('parallel', 3))).toEqual(expect.anything());
  expect(await app.result(await app.start('retrying'))).toBe(3);
}, 60_000);
