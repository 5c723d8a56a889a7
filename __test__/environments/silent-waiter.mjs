// A process that starts a run and waits for it, while nobody delivers. Ends when its standard input
// ends.
//
//   node silent-waiter.mjs <path of the database> <role>
//
// Prints the id of the run and, after the first warning, JSON: all warnings, and what the time-out of
// waitForHook() and stats() say.

import { createWorld, getRun, start, waitForHook } from 'hookline';

const [, , url, role] = process.argv;
const world = createWorld({ url, role });
globalThis[Symbol.for('@workflow/world//cache')] = world;
const warnings = [];
const warned = new Promise((resolve) => {
  process.on('warning', ({ code, message }) => {
    warnings.push({ code, message });
    resolve();
  });
});
// A producer delivers nothing, and start() of its World says so to nobody.
await world.start();
const { runId } = await start({ workflowId: 'workflow//./orders//order' }, []);
await world.events.create(runId, {
  eventType: 'step_created',
  specVersion: 3,
  correlationId: 'step_1',
  eventData: { stepName: 'step//./orders//pay', input: new TextEncoder().encode('devl[[]]') },
});
await world.queue(
  '__wkf_step_step//./orders//pay',
  { workflowRunId: runId, stepId: 'step_1' },
  { idempotencyKey: 'step_1' },
);
console.log(runId);
// Both wait until the process ends.
getRun(runId).returnValue.catch(() => undefined);
process.stdin.resume().on('end', () => process.exit());
await warned;
const timedOut = await waitForHook('secret-token', { timeout: 100 }).catch((error) => error);
const { stalled } = await world.stats();
console.log(JSON.stringify({ warnings, timeOut: timedOut.message, stalled }));
