/** What a test waits for, and the World that it has. */
import type { Event, Hook } from '../../index';
import type { TestWorld } from '../../testing';
import type { WaitOptions } from '../../vitest';
import { getHookByToken, TimeLimitError } from '../index';
import { throwIfNotLoadable, useCompiled } from '../testing/compiled';
import { createTestWorld } from '../testing/index';
import { everything } from '../world/pages';

const CURRENT = Symbol.for('hookline//test-world');
const END_LIMIT_MS = 1000;
const WAIT_MS = 30_000;
const LOOK_AGAIN_MS = 10;

// A test may replace the global timers by fake ones.
const { clearTimeout, setTimeout } = globalThis;

const globals = globalThis as { [CURRENT]?: TestWorld };

/** The World of the present test. */
export function testWorld(): TestWorld {
  const world = globals[CURRENT];
  if (world) return world;
  throw new Error(
    'This process has no World for tests. Add the plugin of hookline to the configuration of the test runner, or call setupWorkflowTests() or createTestWorld().',
  );
}

/** Gives the next test a new World. */
export async function nextWorld(): Promise<void> {
  await endWorld();
  createTestWorld();
}

/** Ends the World of the last test of a file. */
export async function endOfFile(): Promise<void> {
  useCompiled(undefined);
  await endWorld();
}

/**
 * Closes the present World after its deliveries, which would otherwise go on with the World of the
 * process. A step that hangs is not waited for.
 */
async function endWorld(): Promise<void> {
  const world = globals[CURRENT];
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, END_LIMIT_MS);
  });
  const ended = world?.drain().then(world.close);
  // The test may have made the World fail, or closed it.
  await Promise.race([ended?.catch(() => undefined), limit]);
  clearTimeout(timer);
}

/** See `vitest.d.ts`. */
export function waitForSleep({ runId }: { runId: string }, options?: WaitOptions): Promise<string> {
  return found('A pending sleep of the run', options, async (world) => {
    const events = await eventsOf(world, runId);
    const over = idsOf(events, 'wait_completed');
    return events.find(
      ({ eventType, correlationId }) => eventType === 'wait_created' && !over.has(correlationId),
    )?.correlationId;
  });
}

/** See `vitest.d.ts`. */
export function waitForHook(
  { runId }: { runId: string },
  options: WaitOptions & { token?: string } = {},
): Promise<Hook> {
  const { token } = options;
  return found('A pending hook of the run', options, async (world) => {
    const { data: hooks } = await world.hooks.list({ runId });
    const received = idsOf(await eventsOf(world, runId), 'hook_received');
    const pending = hooks.find(
      (hook) => !received.has(hook.hookId) && (token === undefined || hook.token === token),
    );
    // With its metadata as a value.
    return pending && getHookByToken(pending.token);
  });
}

/** Looks until there is something; rejects with a `TimeLimitError` after the time-out. */
async function found<T>(
  what: string,
  { timeout = WAIT_MS, pollInterval = LOOK_AGAIN_MS }: WaitOptions = {},
  look: (world: TestWorld) => Promise<T | undefined>,
): Promise<T> {
  const world = testWorld();
  // The clock of a test may jump; this one does not.
  const limit = performance.now() + timeout;
  for (;;) {
    throwIfNotLoadable();
    const answer = await look(world);
    if (answer !== undefined) return answer;
    if (performance.now() >= limit) throw new TimeLimitError(what, timeout);
    await new Promise((resolve) => setTimeout(resolve, pollInterval));
  }
}

function eventsOf(world: TestWorld, runId: string): Promise<Event[]> {
  return everything((page) => world.events.list({ runId, resolveData: 'none', ...page }));
}

function idsOf(events: Event[], type: string): Set<string | undefined> {
  return new Set(events.filter((it) => it.eventType === type).map((it) => it.correlationId));
}
