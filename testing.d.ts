/**
 * `hookline/testing`: a World in memory for tests, under Jest, Vitest and `node:test`.
 *
 * @packageDocumentation
 */
/// <reference lib="esnext.disposable" />
import type { Event, Hook, WaitForHookOptions, World } from './index.js';

/** Options of {@link createTestWorld}. */
export interface TestWorldOptions {
  /** What time it is in the test; time passes from there on. Default: the real time. */
  now?: Date | string | number;
}

/** What {@link TestWorld.seedHook} makes. */
export interface SeededHook {
  /** The token by which the code under test resumes it. Default: a random one. */
  token?: string;
  /** What `getHookByToken()` returns as `hook.metadata`. */
  metadata?: unknown;
  /** Whether the webhook route may resume it. Default false, as for `createHook()`. */
  isWebhook?: boolean;
  /** The name of the workflow that the hook seems to come from. */
  workflowName?: string;
  /** An existing run that the hook is to belong to. Default: a run of its own. */
  runId?: string;
}

/** One payload that a hook was sent. */
export interface RecordedResume<T = any> {
  /** The hook's token. */
  token: string;
  hookId: string;
  runId: string;
  /** The payload as a value. */
  payload: T;
  resumedAt: Date;
}

/** One message that was handed to a handler. */
export interface RecordedDelivery {
  queueName: string;
  messageId: string;
  /** Counts from 1. */
  attempt: number;
  message: any;
}

/** An event whose payload is the value that it was before it was stored. */
export type LoggedEvent = Event & { eventData?: Record<string, any> };

/** A storage fault, as the `code` of the `WorkflowWorldError` that it becomes. */
export type StorageFault = 'BUSY' | 'STORAGE_FULL' | 'IO' | 'READ_ONLY' | 'CORRUPT';

/**
 * A World in memory: real SQLite, so the code under test meets the real rules. While it is there it
 * is the World of the process, for `hookline` and for `workflow/api`.
 */
export interface TestWorld extends World {
  /**
   * Makes a live hook without running a workflow.
   *
   * @returns The hook, with its metadata as a value.
   */
  seedHook(hook?: SeededHook): Promise<Hook>;
  /** The payloads that hooks were sent, in order; of the hook with this token only, if one is given. */
  resumes(token?: string): Promise<RecordedResume[]>;
  /** The events of a run, or of all runs, in order. */
  log(runId?: string): Promise<LoggedEvent[]>;
  /**
   * The messages that {@link TestWorld.drain} has handed over, in order. Where no compiled workflow
   * is loaded, and for seeded runs, they are recorded and done.
   */
  deliveries(): RecordedDelivery[];
  /**
   * Delivers messages until none is due and none is in flight.
   *
   * @param options.skipSleeps - Moves the clock on to whatever is due next, until nothing sleeps.
   */
  drain(options?: { skipSleeps?: boolean }): Promise<void>;
  /** As `waitForHook()` of the package; begins to deliver, so that the run gets to its hook. */
  waitForHook(token: string, options?: WaitForHookOptions): Promise<Hook>;
  /** What time it is in the test. */
  now(): Date;
  /**
   * Moves the time on, for the World and for `Date`, and delivers what has become due: sleeps,
   * retries, delayed messages. Timers (`setTimeout`) are not touched.
   *
   * @param duration - Milliseconds, or a text such as `'30s'`, `'2h'` or `'1d'`.
   */
  advance(duration: number | string): Promise<void>;
  /**
   * Makes a commit fail: everything in it is undone, and its operations reject with this fault.
   *
   * @param nth - Which one from now on; 1, the default, is the next. Commits of leases do not count.
   */
  failCommit(nth?: number, options?: { code?: StorageFault }): Promise<void>;
  /** Closes it, and gives the process back its own World and time. Not needed for a test to end. */
  close(): Promise<void>;
  /** As `close()`, for `await using`; Node 20 has it nowhere but in its main context. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a World in memory and lets it be the World of this process, until it is closed or this is
 * called again. Synchronous; nothing has to be closed.
 *
 * @example
 * ```ts
 * import { createTestWorld } from 'hookline/testing';
 * import { POST } from './route';
 *
 * test('approving resumes the hook', async () => {
 *   const world = createTestWorld();
 *   await world.seedHook({ token: 'invoice-7', metadata: { invoice: 7 } });
 *   const body = JSON.stringify({ token: 'invoice-7', data: { approved: true } });
 *   const response = await POST(new Request('http://test', { method: 'POST', body }));
 *   expect(response.status).toBe(200);
 *   expect(await world.resumes()).toMatchObject([{ payload: { approved: true } }]);
 * });
 * ```
 */
export function createTestWorld(options?: TestWorldOptions): TestWorld;
