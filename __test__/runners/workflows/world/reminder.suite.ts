// What a World for tests can do with whole workflows.
import { resumeHook, start } from 'hookline';
import { approval, reminder } from '../workflows/approval';
import { testWorld, waitForHook, waitForSleep } from './helpers';

test('thirty days pass at once, and each sleep ends at its time', async () => {
  const run = await start(reminder, ['Ada']);
  await testWorld().advance('29d');
  expect(await run.status).toBe('running');
  await testWorld().advance('1d');
  expect(await run.returnValue).toEqual([
    'reminder 1 to Ada, again in 86400000 ms',
    'reminder 2 to Ada, again in 86400000 ms',
  ]);
});

test('all sleeps are skipped', async () => {
  const run = await start(reminder, ['Ada']);
  await testWorld().drain({ skipSleeps: true });
  expect(await run.status).toBe('completed');
});

test('each test has its own World: the runs of the test before are not here', async () => {
  expect((await testWorld().runs.list()).data).toEqual([]);
});

test('a fault of the disk is one, and nothing was written', async () => {
  const run = await start(approval, ['doc-1']);
  const { token, metadata } = await waitForHook(run);
  // With workflow 5 it is a promise.
  expect(await metadata).toEqual({ document: 'doc-1' });
  const decision = { approved: false, by: 'Ada' };
  await testWorld().drain();
  await testWorld().failCommit(1, { code: 'STORAGE_FULL' });
  await expect(resumeHook(token, decision)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  expect(await testWorld().resumes()).toEqual([]);
  await resumeHook(token, decision);
  expect(await run.returnValue).toEqual({ status: 'rejected', by: 'Ada' });
});

test('a run that never sleeps is not waited for longer than asked', async () => {
  const run = await start(approval, ['doc-1']);
  const error = { name: 'TimeLimitError', timeout: 1 };
  await expect(waitForSleep(run, { timeout: 1 })).rejects.toMatchObject(error);
});
