/**
 * An event writes its wake-up itself, and then the caller enqueues the wake-up again. The second
 * call must not replay the run once more. But a call that follows a newer event must count.
 */
import type { EventRequestType } from 'hookline';
import { until } from './crash/harness';
import { cleanUp, devalue, newHook, newRun, newWorld } from './support';

const FLOW = '__wkf_workflow_workflow//./a//b';
const FLOW_PREFIX = '__wkf_workflow_';
const LIMIT_MS = 10_000;
const STEP = { stepName: 'x', input: devalue('[[]]') };
const IN_AN_HOUR = { resumeAt: new Date(Date.now() + 3_600_000) };

afterEach(cleanUp);

type Append = (
  eventType: EventRequestType,
  correlationId?: string,
  eventData?: object,
) => Promise<unknown>;

/**
 * A run whose replays call the given function with the log; they return the seconds to sleep.
 * `ended` counts the ended replays of the run, `ofOthers` the replays of other runs.
 */
async function newReplayedRun(
  replay: (append: Append, log: string[]) => Promise<number | undefined>,
) {
  const world = newWorld({ delivery: 'direct' });
  const runId = await newRun(world);
  const append: Append = (eventType, correlationId, eventData) =>
    world.events.create(runId, { eventType, specVersion: 3, correlationId, eventData });
  const replays = { ended: 0, ofOthers: 0 };
  world.createQueueHandler(FLOW_PREFIX, async (message) => {
    if ((message as { runId: string }).runId !== runId) {
      replays.ofOthers += 1;
      return undefined;
    }
    const { data } = await world.events.list({ runId });
    const log = data.map(({ eventType }) => eventType);
    const timeoutSeconds = await replay(append, log);
    replays.ended += 1;
    return timeoutSeconds === undefined ? undefined : { timeoutSeconds };
  });
  await world.start();
  return { world, runId, append, replays, wake: () => world.queue(FLOW, { runId }) };
}

/** A step as its handler leaves it, and the wake-up that the SDK enqueues then. */
async function executeStep(append: Append, step: string) {
  await append('step_started', step);
  await append('step_completed', step, { result: devalue('[1]') });
}

test('a run that is woken from its sleep right after a step of it could not be created goes on', async () => {
  let [sleeps, ended] = [false, false];
  const { append, wake } = await newReplayedRun(async (append, log) => {
    // Arguments that do not serialise: the SDK records the failure of a step that was never
    // started, and continues by itself, without a wake-up.
    if (!log.includes('step_failed')) {
      await append('step_created', 's', STEP);
      await append('step_failed', 's', { error: 'not serialisable' });
      return 0;
    }
    if (!log.includes('wait_created')) await append('wait_created', 'w', IN_AN_HOUR);
    if (!log.includes('wait_completed')) {
      sleeps = true;
      return 3600;
    }
    await append('run_completed', undefined, { output: devalue('[1]') });
    ended = true;
    return undefined;
  });
  await wake();
  await until('the run sleeps', LIMIT_MS, () => sleeps);
  // `Run.wakeUp()` of the SDK.
  await append('wait_completed', 'w');
  await wake();
  await until('the run ends', LIMIT_MS, () => ended);
});

test('the failure of a step that was never started leaves no answer for whoever asks next', async () => {
  const { append, wake, replays } = await newReplayedRun(async () => undefined);
  await append('step_created', 's', STEP);
  await append('step_failed', 's', { error: 'not serialisable' });
  await until('the replay of the event', LIMIT_MS, () => replays.ended === 1);
  await wake();
  await until('the replay that was asked for', LIMIT_MS, () => replays.ended === 2);
});

test.each<[string, (append: Append) => Promise<unknown>]>([
  ['a received payload', (append) => append('hook_received', 'h', { payload: devalue('[1]') })],
  ['a completed step', (append) => executeStep(append, 's')],
])('a wake-up from a sleep is none of %s whose own was never asked for', async (_name, cause) => {
  const { world, runId, append, wake, replays } = await newReplayedRun(async () => undefined);
  await append('hook_created', 'h', { token: 'token' });
  await append('step_created', 's', STEP);
  await append('wait_created', 'w', IN_AN_HOUR);
  await cause(append);
  await until('the replay of the event', LIMIT_MS, () => replays.ended === 1);
  // The event itself wakes the run, and so does the second call, unless the first is still waiting.
  await append('wait_completed', 'w');
  await wake();
  await until('the replay that was asked for', LIMIT_MS, () => replays.ended >= 2);
  expect((await world.runs.get(runId)).status).toBe('running');
});

test('the wake-up that the SDK asks for after an event is the one that the event has written', async () => {
  const { world, append, wake, replays } = await newReplayedRun(async () => undefined);
  const { runId: other } = await newHook(world, 'other');
  await append('hook_created', 'h', { token: 'token' });
  await append('hook_received', 'h', { payload: devalue('[1]') });
  await until('the replay of the event', LIMIT_MS, () => replays.ended === 1);
  const first = await wake();
  const second = await wake();
  expect(second.messageId).not.toBe(first.messageId);
  // Only the second was a new message; it does not concern the other run.
  await until('the replay that was asked for', LIMIT_MS, () => replays.ended === 2);
  await world.queue(FLOW, { runId: other });
  await until('the replay of the other run', LIMIT_MS, () => replays.ofOthers > 0);
  expect(replays.ended).toBe(2);
});
