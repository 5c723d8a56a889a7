/**
 * Awaited return values and hooks: a commit resolves them, without polling, and `close()` releases
 * them.
 */
import { getRun, resumeHook, start, TimeLimitError, type World, waitForHook } from 'hookline';
import {
  devalue,
  newHook,
  newRun,
  newWorld,
  runNode,
  useAsSdkWorld,
  worldPerTest,
} from './support';

const COUNT = 500;

let world: World;
let url: string;

worldPerTest((made) => {
  ({ world, url } = made);
});

const complete = (by: World, runId: string, value: string) =>
  by.events.create(runId, {
    eventType: 'run_completed',
    specVersion: 3,
    eventData: { output: devalue(`["${value}"]`) },
  });

test('a return value comes with the commit that ends the run, from another World too', async () => {
  const other = newWorld({ url });
  const [first, second] = [await newRun(world), await newRun(other)];
  const values = [getRun(first).returnValue, getRun(first).returnValue, getRun(second).returnValue];
  await complete(world, first, 'first');
  await complete(other, second, 'second');
  await expect(Promise.all(values)).resolves.toEqual(['first', 'first', 'second']);
});

test('a process that only reads is told too, and can start and resume nothing', async () => {
  const runId = await newRun(world);
  await newHook(world, 'there', { runId });
  const reader = newWorld({ url, role: 'reader' });
  useAsSdkWorld(reader);
  const value = getRun(runId).returnValue;
  const hook = waitForHook('to come');
  await newHook(world, 'to come', { runId });
  await expect(hook).resolves.toMatchObject({ runId });
  for (const refused of [
    start({ workflowId: 'workflow//./a//b' }),
    resumeHook('there', 1, { idempotencyKey: 'k' }),
    getRun(runId).cancel(),
  ]) {
    await expect(refused).rejects.toMatchObject({ name: 'WorkflowWorldError' });
  }
  await expect(getRun(runId).wakeUp()).rejects.toThrow('Failed to wake up run');
  await complete(world, runId, 'read');
  await expect(value).resolves.toBe('read');
  expect((await world.runs.list()).data).toHaveLength(1);
});

test('waitForTerminalStatus gives the ended run, and the run as it is when time is over', async () => {
  const runId = await newRun(world);
  const early = await world.runs.waitForTerminalStatus(runId, { timeoutMs: 1 });
  expect(early).toMatchObject({ runId, status: 'running' });
  const ended = world.runs.waitForTerminalStatus(runId, { resolveData: 'none' });
  await complete(world, runId, 'x');
  expect(await ended).toMatchObject({ status: 'completed', output: undefined });
  await expect(world.runs.waitForTerminalStatus('wrun_no')).rejects.toMatchObject({
    name: 'WorkflowRunNotFoundError',
  });
});

test('a thousand promises are released by close() with an error that says why', async () => {
  const runs = [await newRun(world), await newRun(world)];
  const released: Promise<unknown>[] = [];
  for (let n = 0; n < COUNT; n += 1) {
    released.push(getRun(runs[n % 2] as string).returnValue, waitForHook(`token ${n}`));
  }
  const outcomes = Promise.allSettled(released);
  await newHook(world, 'somebody else');
  await world.close();
  for (const outcome of await outcomes) {
    expect(outcome).toMatchObject({
      status: 'rejected',
      reason: {
        name: 'WorkflowWorldError',
        code: 'CLOSED',
        message: 'this World is closed: make another one',
      },
    });
  }
});

test('an aborted wait ends with the reason of its signal, a timed one with its limit', async () => {
  const reason = new Error('the client went away');
  const controller = new AbortController();
  const aborted = waitForHook('token', { signal: controller.signal });
  const timed = waitForHook('token', { timeout: 1 });
  const kept = waitForHook('token', { timeout: 60_000 });
  controller.abort(reason);
  await expect(aborted).rejects.toBe(reason);
  await expect(waitForHook('token', { signal: controller.signal })).rejects.toBe(reason);
  await expect(timed).rejects.toBeInstanceOf(TimeLimitError);
  await expect(timed).rejects.toMatchObject({ timeout: 1 });
  const { runId } = await newHook(world, 'token', { metadata: devalue('[{"a":1},2]') });
  await expect(kept).resolves.toMatchObject({ runId, metadata: { a: 2 } });
});

test('no token is in the message of a wait that took too long', async () => {
  const error = await waitForHook('secret token', { timeout: 1 }).catch((reason) => reason);
  expect(String(error.message) + String(error.stack)).not.toContain('secret token');
});

test('a script stays alive while it awaits a return value, and ends when it has it', async () => {
  const runId = await newRun(world);
  const script = `
    const { getRun } = require('./dist/index.js');
    const value = getRun(process.argv[1]).returnValue;
    getRun(process.argv[1]).status.then(() => console.log('waits'));
    value.then((text) => console.log(text));
  `;
  const ended = runNode(
    ['-e', script, runId],
    { env: { ...process.env, WORKFLOW_HOOKLINE_URL: url } },
    (output) => {
      if (output === 'waits\n') void complete(world, runId, 'told');
    },
  );
  await expect(ended).resolves.toMatchObject({ code: 0, stdout: 'waits\ntold\n', stderr: '' });
});

test('a hook that does not come because nothing delivers says so, and names no token', async () => {
  await world.queue('__wkf_step_x', { n: 1 });
  const error = await waitForHook('secret token', { timeout: 1500 }).catch((reason) => reason);
  expect(error).toBeInstanceOf(TimeLimitError);
  expect(error.message).toMatch(
    /did not come within 1500 ms: 1 message has been due for 1 s, and no process delivers from this database: start the app/,
  );
  expect(error.message).not.toContain('secret');
});
