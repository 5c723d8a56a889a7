/** What every measured World is filled and loaded with. */

/** Coprime to the sizes that are used: neighbours in time are no neighbours in the file. */
const STRIDE = 7919;

const WORKFLOW = 'workflow//./workflows/approval//approval';

export const PAYLOAD = { approved: true, by: 'someone@example.com' };

/** A payload of about so many bytes when it is serialized; without a size, {@link PAYLOAD}. */
export function payload(bytes) {
  return bytes ? { ...PAYLOAD, note: 'n'.repeat(Math.max(0, bytes - 60)) } : PAYLOAD;
}

export function token(number) {
  return `approval:${String(number).padStart(6, '0')}`;
}

/**
 * Tokens without end, in an order in which neighbours in time are no neighbours in the file. `first` is
 * a place in it: processes at different places resume different runs.
 */
export function tokens(size, first = 0) {
  let taken = first;
  return () => {
    taken += 1;
    return token((taken * STRIDE) % size);
  };
}

/** A running run. */
async function startRun(world) {
  const { run } = await world.events.create(null, {
    eventType: 'run_created',
    specVersion: 3,
    eventData: {
      deploymentId: 'dpl_bench',
      workflowName: WORKFLOW,
      input: new TextEncoder().encode('devl[[]]'),
      executionContext: { workflowCoreVersion: '4.8.9' },
    },
  });
  await world.events.create(run.runId, { eventType: 'run_started', specVersion: 3 });
  return run.runId;
}

/** Running runs. */
export function startRuns(world, count) {
  return Promise.all(Array.from({ length: count }, () => startRun(world)));
}

/** Ends a run with a return value; resolves when that is committed. */
export async function endRun(world, runId) {
  await world.events.create(runId, {
    eventType: 'run_completed',
    specVersion: 3,
    eventData: { output: new TextEncoder().encode('devl["done"]') },
  });
}

/** Parks `size` runs, each on one hook, through the API of any World. */
export async function park(world, size, inFlight = 512) {
  let next = 0;
  await atOnce(inFlight, size, async () => {
    const number = next++;
    const runId = await startRun(world);
    await world.events.create(runId, {
      eventType: 'hook_created',
      specVersion: 3,
      correlationId: `hook_${String(number).padStart(26, '0')}`,
      eventData: { token: token(number) },
    });
  });
}

/** Calls `operation` `count` times, always `inFlight` at once. */
export async function atOnce(inFlight, count, operation) {
  let left = count;
  const lane = async () => {
    while (left > 0) {
      left -= 1;
      await operation();
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, count) }, lane));
}

/**
 * Calls `operation` for so long, always `inFlight` at once. How many were done, the longest time between
 * two that were done, and how many were throttled; those wait for a moment.
 */
export async function load(inFlight, ms, operation) {
  const until = performance.now() + ms;
  let [done, throttled, longestGapMs, last] = [0, 0, 0, performance.now()];
  const lane = async () => {
    while (performance.now() < until) {
      try {
        await operation();
      } catch (error) {
        if (error.name !== 'ThrottleError') throw error;
        throttled += 1;
        await new Promise((resolve) => setTimeout(resolve, 50));
        last = performance.now();
        continue;
      }
      const now = performance.now();
      longestGapMs = Math.max(longestGapMs, now - last);
      last = now;
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return { done, throttled, longestGapMs };
}

/**
 * Calls `operation` `count` times; how long a call took, how many were done in a second, and what one
 * cost all processors of the process.
 */
export async function measure(inFlight, count, operation) {
  const took = [];
  const used = process.cpuUsage();
  const began = performance.now();
  await atOnce(inFlight, count, async () => {
    const called = performance.now();
    await operation();
    took.push(performance.now() - called);
  });
  const totalMs = performance.now() - began;
  const { user, system } = process.cpuUsage(used);
  took.sort((a, b) => a - b);
  return {
    p50Ms: took[Math.floor(count * 0.5)],
    p99Ms: took[Math.floor(count * 0.99)],
    longestMs: took[count - 1],
    perSecond: (count / totalMs) * 1000,
    cpuMs: (user + system) / 1000 / count,
  };
}

/** How many events the long log and each of the others has, and how many others there are. */
const LONG_LOG = 10_000;
const LOG = 100;
const LOGS = 1000;

/**
 * Resumes the hooks from `first` on until there is one log of 10,000 events and 1,000 of 100, their
 * events written in turns. Returns the ids of the runs, the long one first.
 */
export async function writeLogs(getHookByToken, resumeHook, first, bytes) {
  const others = LOGS / (LONG_LOG / LOG);
  const order = [];
  for (let event = 0; event < LONG_LOG; event += 1) {
    order.push(first);
    for (let other = 0; other < others; other += 1) {
      order.push(first + 1 + ((event * others + other) % LOGS));
    }
  }
  await atOnce(32, order.length, () => resumeHook(token(order.pop()), payload(bytes)));
  const ofRun = async (number) => (await getHookByToken(token(number))).runId;
  return Promise.all(Array.from({ length: LOGS + 1 }, (_, number) => ofRun(first + number)));
}

/** Reads a whole log, as the SDK's runtime does for a replay. */
export async function readLog(world, runId) {
  let [cursor, events] = [undefined, 0];
  do {
    const page = await world.events.list({ runId, pagination: { limit: 1000, cursor } });
    events += page.data.length;
    cursor = page.hasMore ? page.cursor : undefined;
  } while (cursor);
  return events;
}
