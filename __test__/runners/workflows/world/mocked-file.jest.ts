// What a step imports is mocked: a file of the app.
import { start } from 'hookline';
import { testWorld } from 'hookline/jest';
import { reminder } from '../workflows/approval';

jest.mock('../lib/mail', () => ({ send: async (to: string) => `mocked for ${to}` }));

test('a file that a step imports is mocked', async () => {
  const run = await start(reminder, ['Ada']);
  await testWorld().drain({ skipSleeps: true });
  expect(await run.returnValue).toEqual(['mocked for Ada', 'mocked for Ada']);
});
