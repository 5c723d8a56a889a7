/**
 * A World for one test, with its own database in memory. It becomes the World of this process. A
 * test can move its time, and can make its storage fail.
 *
 * It keeps no process alive, so a test need not close it.
 */
import { randomUUID } from 'node:crypto';
import type { TestWorld, TestWorldOptions } from '../../testing';
import { waitForHookOf } from '../api/wait-for-hook';
import { FOR_TESTS } from '../engine/config';
import type { Engine } from '../engine/engine';
import { createWorld } from '../index';
import { answerOf, settled } from '../native/binding';
import { invalid } from '../native/errors';
import { engineOf } from '../world/world';
import { hasCompiled, throwIfNotLoadable } from './compiled';
import { createCourier } from './courier';
import { createLogReader } from './log';
import { createSeeder } from './seed';
import { durationMs, realNow, shiftDate } from './time';

// The SDK's own two places for the World of a process, read by `resumeHook` and by its functions.
const SDK_WORLD = Symbol.for('@workflow/world//cache');
const SDK_HANDLERS_WORLD = Symbol.for('@workflow/world//stubbedCache');
const CURRENT = Symbol.for('hookline//test-world');

/**
 * More jumps of the clock than a sensible test needs; more of them mean that a workflow sleeps for
 * ever.
 */
const JUMPS_MAX = 1000;

type Globals = { [SDK_WORLD]?: unknown; [SDK_HANDLERS_WORLD]?: unknown; [CURRENT]?: TestWorld };
const globals = globalThis as Globals;

/**
 * Makes a World in memory, and makes it the World of this process; closes the World of the call
 * before.
 */
export function createTestWorld(options: TestWorldOptions = {}): TestWorld {
  // If this fails, the earlier World stays as it is.
  const offsetMs = offsetTo(options.now);
  const earlier = globals[CURRENT];
  // Not closed in the background, because closing might last longer than the test file.
  if (earlier) engineOf(earlier)?.abandon();
  const inMemory = {
    url: `:memory:test-${randomUUID()}`,
    role: 'all',
    delivery: 'direct',
    [FOR_TESTS]: offsetMs,
  } as const;
  const base = createWorld(inMemory);
  const engine = engineOf(base) as Engine;
  const seeder = createSeeder(base);
  const courier = createCourier(base, seeder.isSeeded);
  const time = createTime(engine, offsetMs);
  const deliver = async () => {
    courier.listen();
    await base.start();
  };
  /**
   * Delivers what is due, and jumps from one due time to the next as far as `withinMs` allows.
   * Returns by how many milliseconds.
   */
  const jump = async (withinMs: number): Promise<number> => {
    await deliver();
    let passed = 0;
    for (let jumps = 0; jumps < JUMPS_MAX; jumps += 1) {
      const nextDueInMs = await whenIdle(engine);
      throwIfNotLoadable();
      if (nextDueInMs === undefined) return passed;
      // If a message is not due yet by a fraction of a millisecond, the clock must not jump a second
      // time.
      const step = nextDueInMs + 1;
      if (passed + step > withinMs) return passed;
      await time.skip(step);
      passed += step;
    }
    throw new Error(
      `After ${JUMPS_MAX} jumps of the clock something is still asleep: does a workflow sleep in a loop?`,
    );
  };
  const parts: Omit<TestWorld, typeof Symbol.asyncDispose> = {
    ...base,
    start: deliver,
    createQueueHandler: courier.createQueueHandler,
    registerHandler: courier.registerHandler,
    seedHook: seeder.seedHook,
    ...createLogReader(base),
    deliveries: courier.deliveries,
    now: time.now,
    async advance(duration) {
      const left = durationMs(duration) - (await jump(durationMs(duration)));
      if (left > 0) await time.skip(left);
      await whenIdle(engine);
    },
    async drain({ skipSleeps = false } = {}) {
      await jump(skipSleeps ? Number.POSITIVE_INFINITY : 0);
    },
    async waitForHook(token, options) {
      await deliver();
      // Of this World, because the process may have another World by now.
      return waitForHookOf(engine, token, options);
    },
    async failCommit(nth = 1, { code = 'IO' } = {}) {
      if (!Number.isSafeInteger(nth) || nth < 1) throw invalid('nth must be 1 or more.');
      answerOf((await engine.connect()).failCommit(JSON.stringify({ nth, code })));
    },
    async close() {
      uninstall(world);
      await base.close();
    },
  };
  const world = parts as TestWorld;
  // Node 20 has the symbol only in its main context, and Jest runs tests in another one.
  if (Symbol.asyncDispose) world[Symbol.asyncDispose] = () => world.close();
  install(world);
  // Later, because Jest takes what a set-up file opens for a resource that was left open. If the
  // addon is missing, the first use says so; and the next World may end this one early.
  if (hasCompiled()) queueMicrotask(() => void world.start().catch(() => undefined));
  return world;
}

function install(world: TestWorld): void {
  globals[CURRENT] = world;
  globals[SDK_WORLD] = world;
  globals[SDK_HANDLERS_WORLD] = world;
}

/** A World that was replaced does not change the new World of the process. */
function uninstall(world: TestWorld): void {
  if (globals[CURRENT] !== world) return;
  for (const place of [CURRENT, SDK_WORLD, SDK_HANDLERS_WORLD] as const) {
    if (globals[place] === world) delete globals[place];
  }
  shiftDate(0);
}

async function whenIdle(engine: Engine): Promise<number | undefined> {
  const native = await engine.connect();
  const { json } = await settled<{ nextDueInMs: number | null }>(native.whenIdle());
  return json.nextDueInMs ?? undefined;
}

/** The milliseconds by which the test's time is ahead of the real time. */
function offsetTo(start: Date | string | number | undefined): number {
  if (start === undefined) return 0;
  const offsetMs = new Date(start).getTime() - realNow();
  if (Number.isNaN(offsetMs)) throw invalid('now must be a date.');
  return offsetMs;
}

/**
 * The time of a World: the host's, plus an offset. `Date` follows, because the SDK's runtime
 * decides by `Date.now()` whether a sleep is over.
 */
function createTime(engine: Engine, start: number) {
  let offsetMs = start;
  shiftDate(offsetMs);
  return {
    now: () => new Date(realNow() + offsetMs),
    async skip(ms: number) {
      answerOf((await engine.connect()).skipTime(ms));
      offsetMs += ms;
      shiftDate(offsetMs);
    },
  };
}
