import { resumeHook, start } from 'hookline';
import { createTestWorld } from 'hookline/testing';
import { beforeAll, expect, test } from 'vitest';

/** What `workflow build` calls it; `npm test` has built it. */
const approval = { workflowId: 'workflow//./workflows/approval//approval' };
/** Vitest transforms the bundles, which are large. */
const LOADING_MS = 60_000;

beforeAll(async () => {
  createTestWorld();
  await import('../.well-known/workflow/v1/flow.js');
  await import('../.well-known/workflow/v1/step.js');
}, LOADING_MS);

test('an approved invoice is paid', async () => {
  const world = createTestWorld();
  const run = await start(approval, ['7', 420]);
  await world.drain();
  await resumeHook('invoice-7', { approved: true, by: 'Ada' });
  await world.drain();
  expect(await run.returnValue).toEqual({ status: 'paid', by: 'Ada', receipt: 'R-7' });
});

test('of a rejected one nothing is paid', async () => {
  const world = createTestWorld();
  const run = await start(approval, ['7', 420]);
  await world.drain();
  await resumeHook('invoice-7', { approved: false, by: 'Ada' });
  await world.drain();
  expect(await run.returnValue).toEqual({ status: 'rejected', by: 'Ada' });
  expect(await world.steps.list({ runId: run.runId })).toMatchObject({ data: [] });
});
