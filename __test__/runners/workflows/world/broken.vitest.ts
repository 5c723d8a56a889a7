// A file that a step needs cannot be loaded.
import { start } from 'hookline';
import { testWorld, waitForSleep } from 'hookline/vitest';
import { expect, test, vi } from 'vitest';

/** Its file would be imported by this test too, so it is named. */
const reminder = { workflowId: 'workflow//./workflows/approval//reminder' };

vi.mock('../lib/mail', () => {
  throw new Error('no mail');
});

test('a test that waits for the workflow learns why nothing comes', async () => {
  const errors = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const run = await start(reminder, ['Ada']);
  await expect(waitForSleep(run)).rejects.toThrow('The compiled workflows cannot be loaded');
  await expect(testWorld().drain()).rejects.toThrow('The compiled workflows cannot be loaded');
  expect(errors).toHaveBeenCalledTimes(1);
});
