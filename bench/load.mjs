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

/** Tokens without end, in an order in which neighbours in time are no neighbours in the file. */
export function tokens(size) {
  let taken = 0;
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

/** Calls `operation` `count` times; how long a call took, and how many were done in a second. */
export async function measure(inFlight, count, operation) {
  const took = [];
  const began = performance.now();
  await atOnce(inFlight, count, async () => {
    const called = performance.now();
    await operation();
    took.push(performance.now() - called);
  });
  const totalMs = performance.now() - began;
  took.sort((a, b) => a - b);
  return {
    p50Ms: took[Math.floor(count * 0.5)],
    p99Ms: took[Math.floor(count * 0.99)],
    perSecond: (count / totalMs) * 1000,
  };
}
