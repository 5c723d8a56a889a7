/**
 * `hookline/testing`: a World in memory for tests, under Jest, Vitest and `node:test`.
 *
 * @packageDocumentation
 */
/// <reference lib="esnext.disposable" />
import type { Event, Hook, WaitForHookOptions, World } from './index.js';

/** Options of {@link createTestWorld}. */
export interface TestWorldOptions {
  /** The time at which the test begins; time passes from there. Default: the real time. */
  now?: Date | string | number;
}

/** The hook that {@link TestWorld.seedHook} makes. */
export interface SeededHook {
  /** The token with which the code under test resumes the hook. Default: a random token. */
  token?: string;
  /** The metadata of the hook, as `getHookByToken()` returns it. */
  metadata?: unknown;
  /** Whether the webhook route may resume the hook. Default false, as for `createHook()`. */
  isWebhook?: boolean;
  /** The name of the workflow of the hook's run. */
  workflowName?: string;
  /** An existing run that gets the hook. Default: a new run. */
  runId?: string;
}

/** One payload that was sent to a hook. */
export interface RecordedResume<T = any> {
  /** The hook's token. */
  token: string;
  /** The hook's id. */
  hookId: string;
  /** The hook's run. */
  runId: string;
  /** The payload as a value. */
  payload: T;
  /** When it was sent, by the time of the test. */
  resumedAt: Date;
}

/** One message that was handed to a handler. */
export interface RecordedDelivery {
  /** Its queue. */
  queueName: string;
  /** Its id. */
  messageId: string;
  /** Counts from 1. */
  attempt: number;
  /** Its content. */
  message: any;
}

/** An event whose payload is the original value, not its stored bytes. */
export type LoggedEvent = Event & { eventData?: Record<string, any> };

/** The `code` of the `WorkflowWorldError` that a storage fault causes. */
export type StorageFault = 'BUSY' | 'STORAGE_FULL' | 'IO' | 'READ_ONLY' | 'CORRUPT';

/**
 * A World in memory with real SQLite, so the code under test meets the real rules. Until it is
 * closed or replaced, it is the World of the process, for `hookline` and for `workflow/api`.
 */
export interface TestWorld extends World {
  /**
   * Makes a live hook without running a workflow.
   *
   * @returns The hook, with its metadata as a value.
   */
  seedHook(hook?: SeededHook): Promise<Hook>;
  /** The payloads that were sent to hooks, in order; with a token, only those of its hook. */
  resumes(token?: string): Promise<RecordedResume[]>;
  /** The events of a run, or of all runs, in order. */
  log(runId?: string): Promise<LoggedEvent[]>;
  /**
   * The messages that {@link TestWorld.drain} has handed over, in order. If no compiled workflow is
   * loaded, and for seeded runs, a message is only recorded, and then counts as done.
   */
  deliveries(): RecordedDelivery[];
  /**
   * Delivers messages until none is due and none is in flight.
   *
   * @param options.skipSleeps - Moves the clock to the next due message, until no message sleeps.
   */
  drain(options?: { skipSleeps?: boolean }): Promise<void>;
  /**
   * As `waitForHook()` of the package, but also starts delivery, so that the run reaches its hook.
   */
  waitForHook(token: string, options?: WaitForHookOptions): Promise<Hook>;
  /** The present time of the test. */
  now(): Date;
  /**
   * Moves the time of the World and of `Date` forward, and delivers everything that becomes due
   * meanwhile, each at its time: sleeps, retries, delayed messages. It does not change timers
   * (`setTimeout`).
   *
   * @param duration - Milliseconds, or a string such as `'30s'`, `'2h'` or `'1d'`.
   */
  advance(duration: number | string): Promise<void>;
  /**
   * Makes a commit fail: everything in the commit is undone, and its operations reject with the
   * fault.
   *
   * @param nth - The number of the commit from now on; 1, the default, is the next commit. Commits
   *   of leases do not count.
   */
  failCommit(nth?: number, options?: { code?: StorageFault }): Promise<void>;
  /**
   * Closes the World, and gives the process back its own World and time. A test may end without it.
   */
  close(): Promise<void>;
  /** As `close()`, for `await using`; Node 20 has this symbol only in its main context. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a World in memory and makes it the World of this process, until you close it or call this
 * function again. It is synchronous, and you need not close the World.
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
