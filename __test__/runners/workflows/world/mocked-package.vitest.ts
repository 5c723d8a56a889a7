// What a step imports is mocked: a file of the app, and a package that the file imports.
import { start } from 'hookline';
import { testWorld } from 'hookline/vitest';
import { expect, test, vi } from 'vitest';
import { reminder } from '../workflows/approval';

vi.mock('ms', () => ({ default: () => 'a mocked number of' }));

test('a package that a step needs is mocked', async () => {
  const run = await start(reminder, ['Ada']);
  await testWorld().advance('30d');
  expect(await run.returnValue).toContain('reminder 1 to Ada, again in a mocked number of ms');
});
