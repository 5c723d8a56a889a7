import { resumeHook, start } from 'hookline';
import { testWorld, waitForHook } from 'hookline/vitest';
import { expect, test } from 'vitest';
import { approval } from '../workflows/approval';

async function decided(approved: boolean) {
  const run = await start(approval, ['7', 420]);
  await waitForHook(run, { token: 'invoice-7' });
  await resumeHook('invoice-7', { approved, by: 'Ada' });
  return run;
}

test('an approved invoice is paid', async () => {
  const run = await decided(true);
  expect(await run.returnValue).toEqual({ status: 'paid', by: 'Ada', receipt: 'R-7' });
});

test('of a rejected one nothing is paid', async () => {
  const run = await decided(false);
  expect(await run.returnValue).toEqual({ status: 'rejected', by: 'Ada' });
  expect(await testWorld().steps.list({ runId: run.runId })).toMatchObject({ data: [] });
});
