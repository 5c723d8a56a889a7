// Runs in world-postgres, one of each fate; prints their ids as JSON. It is copied into the app that
// has world-postgres installed.

import { createWorld } from '@workflow/world-postgres';

const SPEC_VERSION = 3;
const world = createWorld({ connectionString: process.env.WORKFLOW_POSTGRES_URL });
const stored = (text) => new TextEncoder().encode(`devl${JSON.stringify([text])}`);

async function append(runId, eventType, correlationId, eventData) {
  const event = { eventType, specVersion: SPEC_VERSION, correlationId, eventData };
  return world.events.create(runId, event);
}

async function begin(workflowName) {
  const { run } = await append(null, 'run_created', undefined, {
    deploymentId: 'postgres',
    workflowName,
    input: stored('in'),
    executionContext: { workflowCoreVersion: '4.8.9' },
  });
  await append(run.runId, 'run_started');
  return run.runId;
}

const waiting = await begin('workflow//./a//waits');
await append(waiting, 'hook_created', 'hook_1', { token: 'pg-token', metadata: stored('meta') });
await append(waiting, 'hook_received', 'hook_1', { token: 'pg-token', payload: stored('one') });
const tomorrow = new Date(Date.now() + 86_400_000);
await append(waiting, 'wait_created', 'wait_1', { resumeAt: tomorrow });
await world.writeToStream('strm_open', waiting, 'first');
await world.writeToStream('strm_open', waiting, new Uint8Array([1, 2, 3]));

const done = await begin('workflow//./a//done');
await append(done, 'step_created', 'step_1', { stepName: 'step//./a//s', input: stored('x') });
await append(done, 'step_started', 'step_1');
const error = { message: 'once', stack: 'at x' };
await append(done, 'step_retrying', 'step_1', { error, retryAfter: new Date(Date.now() - 1000) });
await append(done, 'step_started', 'step_1');
await append(done, 'step_completed', 'step_1', { result: stored('y') });
await world.writeToStream('strm_closed', done, 'all');
await world.closeStream('strm_closed', done);
await append(done, 'run_completed', undefined, { output: stored('out') });

const failed = await begin('workflow//./a//failed');
await append(failed, 'run_failed', undefined, { error, errorCode: 'USER_ERROR' });
const cancelled = await begin('workflow//./a//cancelled');
await append(cancelled, 'run_cancelled');

console.log(JSON.stringify({ waiting, done, failed, cancelled }));
process.exit(0);
