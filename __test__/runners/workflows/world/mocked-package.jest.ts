// What a step imports is mocked: a package that a file of the app imports.
import { start } from 'hookline';
import { testWorld } from 'hookline/jest';
import { reminder } from '../workflows/approval';

jest.mock('ms', () => ({ __esModule: true, default: () => 'a mocked number of' }));

test('a package that a step needs is mocked', async () => {
  const run = await start(reminder, ['Ada']);
  await testWorld().advance('30d');
  expect(await run.returnValue).toContain('reminder 1 to Ada, again in a mocked number of ms');
});
