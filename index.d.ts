/**
 * Hookline: durable workflows on one file. A World for the Workflow SDK (`workflow` 4.8.9) whose
 * `resumeHook` is one atomic operation.
 *
 * This file is the reference of the public surface. Importing the package opens no database and
 * loads no native code; the first operation does.
 *
 * @packageDocumentation
 */

import type { Hook, RunStatus, StructuredError, World, WorldOptions } from './world.js';

export type * from './world.js';

// ---------------------------------------------------------------------------------------------
// Resuming hooks
// ---------------------------------------------------------------------------------------------

/**
 * An AES-GCM key of Web Crypto, described by structure so that neither the DOM's types nor Node's
 * are needed: `crypto.subtle.importKey()` returns one.
 */
export interface CryptoKey {
  /** The algorithm that the key is for, for example `{ name: 'AES-GCM' }`. */
  readonly algorithm: { name: string };
  /** Whether the key may be exported. */
  readonly extractable: boolean;
  /** `'secret'` for AES. */
  readonly type: string;
  /** What the key may be used for; `'encrypt'` is needed here. */
  readonly usages: readonly string[];
}

/**
 * Sends a payload to a hook, and wakes the workflow run that waits for it.
 *
 * That the hook lives is checked, the `hook_received` event is appended and the wake-up is enqueued
 * in one transaction. When the promise resolves, all of it is on disk; when it rejects, none of it
 * is, except with the code `OUTCOME_UNKNOWN`: the disk failed during the commit and has not recovered.
 * It does not wait for the workflow.
 *
 * Works in any process that reaches the database, also one that never called `start()`.
 *
 * @typeParam T - The type of the payload.
 * @param tokenOrHook - The hook's token, or a hook from {@link getHookByToken}.
 * @param payload - What the workflow receives; anything that the Workflow SDK can serialize.
 * @param encryptionKeyOverride - Encrypts the payload with this key. Ignored when the run's SDK is
 *   too old to decrypt.
 * @returns The hook that was resumed: the given object itself, or the one found by its token, with
 *   its metadata hydrated.
 *
 * @throws {@link HookNotFoundError} (its `token` is the token) when no live hook has this token:
 *   there never was one, it has been disposed, or its run has ended. A token of more than 65,536
 *   UTF-16 units and one with a lone surrogate name no hook.
 * @throws {@link WorkflowRunNotFoundError} when the hook's run does not exist.
 * @throws `TypeError` when `tokenOrHook` is neither a string nor an object with `runId`, `hookId`
 *   and `token`.
 * @throws `WorkflowRuntimeError` (by `name`) when the payload cannot be serialized.
 * @throws {@link WorkflowWorldError} when the database cannot be used; retry when `status` is 500 or
 *   more. After `OUTCOME_UNKNOWN` a retry may resume a second time, unless it has an idempotency key.
 * @throws {@link ThrottleError} when too much waits to be written; retry after its `retryAfter`.
 *
 * @example
 * ```ts
 * import { resumeHook } from 'hookline';
 *
 * export async function POST(request: Request) {
 *   const { token, data } = await request.json();
 *   try {
 *     const hook = await resumeHook(token, data);
 *     return Response.json({ runId: hook.runId });
 *   } catch (error) {
 *     if (error instanceof Error && error.name === 'HookNotFoundError') {
 *       return Response.json({ error: 'Hook not found' }, { status: 404 });
 *     }
 *     return Response.json({ error: 'Failed to resume hook' }, { status: 500 });
 *   }
 * }
 * ```
 */
export function resumeHook<T = any>(
  tokenOrHook: string | Hook,
  payload: NonNullable<T>,
  encryptionKeyOverride?: CryptoKey,
): Promise<Hook>;
/**
 * The same with options of this package, above all for senders that repeat themselves.
 *
 * @example
 * A webhook provider delivers again when our answer was lost:
 * ```ts
 * await resumeHook(token, await request.json(), {
 *   idempotencyKey: request.headers.get('x-delivery-id') ?? undefined,
 * });
 * ```
 *
 * @throws {@link IdempotencyConflictError} when the key stands for another payload; nothing is
 *   written then.
 * @throws `TypeError` for an unknown option, and for a payload with streams beside a key.
 */
export function resumeHook<T = any>(
  tokenOrHook: string | Hook,
  payload: NonNullable<T>,
  options: ResumeHookOptions,
): Promise<Hook>;

/** Options of {@link resumeHook}: a plain object, which is how it is told from a key. */
export interface ResumeHookOptions {
  /**
   * Makes the resume happen once: within {@link idempotencyWindow} of the first one, another call
   * with this key and token resolves to the hook of the first, and appends nothing. That holds also
   * when the hook, its run or this process has ended meanwhile, and for calls at the same time.
   *
   * The payload must be the same, as it is serialized. Up to 1024 characters; only digests are
   * stored. `undefined` means none.
   */
  idempotencyKey?: string;
  /** Milliseconds that the key is remembered: {@link IDEMPOTENCY_WINDOW_MS} unless told. */
  idempotencyWindow?: number;
  /** The documented `encryptionKeyOverride`. */
  encryptionKey?: CryptoKey;
}

/** How long an idempotency key is remembered unless the call says otherwise: seven days. */
export const IDEMPOTENCY_WINDOW_MS: number;

/**
 * The live hook that a token names, with its metadata as a value.
 *
 * @param token - The hook's token.
 * @returns A new object at every call.
 *
 * @throws {@link HookNotFoundError} when no live hook has this token.
 * @throws `TypeError` when the token is not a string.
 * @throws {@link WorkflowWorldError} when the database cannot be used.
 */
export function getHookByToken(token: string): Promise<Hook>;

/**
 * The live hook with this token, as soon as there is one; for who starts a run and then resumes it.
 *
 * The commit that makes the hook tells it, in this process or another; nothing polls meanwhile.
 *
 * @returns As {@link getHookByToken}.
 *
 * @throws {@link TimeLimitError} when there is no such hook within `timeout`.
 * @throws {@link HookNotFoundError} for a token that no hook can have: one that is too long.
 * @throws {@link WorkflowWorldError} with code `CLOSED` when the World is closed meanwhile.
 * @throws the reason of `signal`, when that aborts.
 *
 * @example
 * ```ts
 * await start(approval, ['42']);
 * await waitForHook('invoice-42', { timeout: 10_000 });
 * await resumeHook('invoice-42', { approved: true });
 * ```
 */
export function waitForHook(token: string, options?: WaitForHookOptions): Promise<Hook>;

/** Options of {@link waitForHook}. */
export interface WaitForHookOptions {
  /** Milliseconds to wait at most; for ever unless told. */
  timeout?: number;
  /** Ends the wait. */
  signal?: AbortSignal;
}

/**
 * Resumes a hook made by `createWebhook()` with a request, and returns the response for it.
 *
 * That is 202 without a body, the `Response` given to `createWebhook({ respondWith })`, or with
 * `respondWith: 'manual'` what a step of the workflow answers by `request.respondWith()`; its body is
 * read whole first.
 *
 * @param token - The webhook's token.
 * @param request - The request as it came: its body must not have been read.
 *
 * @throws {@link HookNotFoundError} when no live webhook has this token: answer 404. A hook made by
 *   `createHook()` is none; the error does not say that there is one.
 * @throws {@link WorkflowRuntimeError} when `respondWith` is something else, and when the run ends, or
 *   closes the response, without having answered.
 * @throws {@link TimeLimitError} when a manual response takes longer than `timeout`: answer 504. The
 *   request was delivered all the same.
 * @throws {@link WorkflowWorldError} when the database cannot be used: answer 503, so that the sender
 *   tries again.
 *
 * @example
 * ```ts
 * export async function POST(request: Request, token: string) {
 *   try {
 *     return await resumeWebhook(token, request, { timeout: 30_000 });
 *   } catch (error) {
 *     if (HookNotFoundError.is(error)) return new Response(null, { status: 404 });
 *     if (TimeLimitError.is(error)) return new Response(null, { status: 504 });
 *     return new Response(null, { status: 503 });
 *   }
 * }
 * ```
 */
export function resumeWebhook(
  token: string,
  request: Request,
  options?: ResumeWebhookOptions,
): Promise<Response>;

/** Options of {@link resumeWebhook}. */
export interface ResumeWebhookOptions {
  /** Milliseconds to wait for a manual response at most; as long as the run lives unless told. */
  timeout?: number;
}

/** Does nothing: `workflow/api` has it for the SDK's compiler, and so it is here. */
export function runStep(): void;

// ---------------------------------------------------------------------------------------------
// Starting and following runs
// ---------------------------------------------------------------------------------------------

/** A workflow function as it is written; the SDK's build makes it startable. */
export type WorkflowFunction<TArgs extends unknown[], TResult> = (
  ...args: TArgs
) => Promise<TResult>;

/** What the SDK's build puts on a workflow function. */
export type WorkflowMetadata = {
  /** The workflow's name, for example `workflow//./workflows/approval//approval`. */
  workflowId: string;
};

/** What the options of {@link start} have in common. */
export interface StartOptionsBase {
  /** The World to start on, one of {@link createWorld}; that of this process unless told. */
  world?: object;
  /** The spec version that the run is stamped with; that of the World unless told. */
  specVersion?: number;
}

/** Options that name a deployment. */
export interface StartOptionsWithDeploymentId extends StartOptionsBase {
  /**
   * Which deployment the run belongs to. `'latest'` means the current one here, where there are no
   * others, and says so once on the console.
   *
   * With it the types of arguments and result are `unknown`: the other deployment may have others.
   */
  deploymentId: 'latest' | (string & {});
}

/** Options for this deployment. */
export interface StartOptionsWithoutDeploymentId extends StartOptionsBase {
  deploymentId?: undefined;
}

/** Options of {@link start}. */
export type StartOptions = StartOptionsWithDeploymentId | StartOptionsWithoutDeploymentId;

/**
 * Starts a run of a workflow.
 *
 * The run and the message that starts it are written in one transaction. When the promise resolves,
 * both are on disk; when it rejects, neither is, except with the code `OUTCOME_UNKNOWN`; when the
 * process dies, both are or neither is. It does not wait for the workflow.
 *
 * Works in any process that reaches the database, also one that never called `start()` on a World.
 *
 * @param workflow - The workflow function, as the SDK has compiled it, or its `workflowId`.
 * @param args - Its arguments; anything that the Workflow SDK can serialize. Streams among them are
 *   uploaded in the background.
 * @returns The run.
 *
 * @throws {@link WorkflowRuntimeError} when `workflow` is no workflow function, or when the
 *   arguments cannot be serialized.
 * @throws {@link WorkflowWorldError} when the database cannot be used (retry when `status` is 500 or
 *   more), or when `options.world` is not of this package.
 * @throws {@link ThrottleError} when too much waits to be written; retry after its `retryAfter`.
 *
 * @example
 * ```ts
 * import { start } from 'hookline';
 * import { approval } from './workflows/approval';
 *
 * const run = await start(approval, ['invoice-42']);
 * console.log(run.runId, await run.returnValue);
 * ```
 */
export function start<TArgs extends unknown[], TResult>(
  workflow: WorkflowFunction<TArgs, TResult> | WorkflowMetadata,
  args: unknown[],
  options: StartOptionsWithDeploymentId,
): Promise<Run<unknown>>;
export function start<TResult>(
  workflow: WorkflowFunction<[], TResult> | WorkflowMetadata,
  options: StartOptionsWithDeploymentId,
): Promise<Run<unknown>>;
export function start<TArgs extends unknown[], TResult>(
  workflow: WorkflowFunction<TArgs, TResult> | WorkflowMetadata,
  args: TArgs,
  options?: StartOptionsWithoutDeploymentId,
): Promise<Run<TResult>>;
export function start<TResult>(
  workflow: WorkflowFunction<[], TResult> | WorkflowMetadata,
  options?: StartOptionsWithoutDeploymentId,
): Promise<Run<TResult>>;

/**
 * The run with this id. Nothing is looked up: a run that does not exist shows at the first use.
 *
 * @example
 * ```ts
 * const status = await getRun(runId).status;
 * ```
 */
export function getRun<TResult>(runId: string): Run<TResult>;

/**
 * A workflow run. Each property that is a promise reads anew.
 *
 * All but `exists` reject with {@link WorkflowRunNotFoundError} when there is no such run, and with
 * {@link WorkflowWorldError} when the database cannot be used.
 */
export class Run<TResult> {
  constructor(runId: string);
  /** Its id. */
  readonly runId: string;
  /** Whether there is such a run. */
  get exists(): Promise<boolean>;
  /** Where it stands. */
  get status(): Promise<RunStatus>;
  /** The name of its workflow. */
  get workflowName(): Promise<string>;
  /** When it was created. */
  get createdAt(): Promise<Date>;
  /** When it began to execute; `undefined` before. */
  get startedAt(): Promise<Date | undefined>;
  /** When it ended; `undefined` before. */
  get completedAt(): Promise<Date | undefined>;
  /**
   * What the workflow returned, as soon as it has: the commit that ends the run tells it, in this
   * process or another. Nothing polls meanwhile, however many wait; a script that awaits it stays
   * alive.
   *
   * Rejects with {@link WorkflowRunFailedError} or {@link WorkflowRunCancelledError} when the run
   * ended so, and with {@link WorkflowWorldError} (code `CLOSED`) when the World is closed meanwhile.
   */
  get returnValue(): Promise<TResult>;
  /** The stream of the run's `getWritable()`: {@link getReadable} without options. */
  get readable(): WorkflowReadableStream;
  /** What the run writes to one of its streams, from a chunk on, as it comes. */
  getReadable<R = any>(options?: WorkflowReadableStreamOptions): WorkflowReadableStream<R>;
  /**
   * Cancels the run.
   *
   * @throws {@link EntityConflictError} when it has completed or failed already.
   */
  cancel(): Promise<void>;
  /**
   * Ends pending `sleep()`s of the run, all or those named, and wakes it: one transaction.
   *
   * @throws `Error` with the reason as its `cause`.
   */
  wakeUp(options?: StopSleepOptions): Promise<StopSleepResult>;
}

/** Which sleeps {@link Run.wakeUp} ends; all pending ones when none is named. */
export interface StopSleepOptions {
  /** Correlation ids of the sleeps. */
  correlationIds?: string[];
}

/** What {@link Run.wakeUp} did. */
export interface StopSleepResult {
  /** How many sleeps it ended. */
  stoppedCount: number;
}

/** A stream of a run, and where it ends. */
export type WorkflowReadableStream<R = any> = ReadableStream<R> & {
  /** The index of the last chunk that has been written, -1 when there is none. */
  getTailIndex(): Promise<number>;
};

/** Options of {@link Run.getReadable}. */
export interface WorkflowReadableStreamOptions {
  /** Which of the run's streams: that of `getWritable({ namespace })`. */
  namespace?: string;
  /** The first chunk to read; a negative index counts from the end of what is there. */
  startIndex?: number;
  /** Gets promises of what goes on in the background, for a platform's `waitUntil`. */
  ops?: Promise<any>[];
  /** Where the classes of values come from; `globalThis` unless told. */
  global?: Record<string, any>;
}

// ---------------------------------------------------------------------------------------------
// The World
// ---------------------------------------------------------------------------------------------

/**
 * A World of the Workflow SDK, on the database that the options or the environment name.
 *
 * Synchronous; does no I/O and never throws. Worlds of one process that name the same database
 * share one engine. Its methods may be picked off the object.
 *
 * @example
 * The SDK makes it itself when it is told to:
 * ```sh
 * WORKFLOW_TARGET_WORLD=hookline
 * ```
 */
export function createWorld(options?: WorldOptions): World;
export default createWorld;

// ---------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------

/**
 * The database refused or could not do something that has no class of its own.
 *
 * Every error here is the SDK's own class. Recognise one by its `name`, or by the class's static
 * `is()`, which does that; `instanceof` fails between two copies of a package. A class that extends
 * this one has a name of its own, so `WorkflowWorldError.is()` does not hold for it: overload is a
 * {@link ThrottleError}.
 */
export class WorkflowWorldError extends Error {
  /** Like an HTTP status: 500 and more is worth a retry, 400 is the caller's mistake. */
  status?: number;
  /**
   * Why: `BUSY`, `STORAGE_FULL`, `READ_ONLY`, `CANNOT_OPEN`, `CORRUPT`, `FOREIGN_FILE`,
   * `NEWER_DATABASE`, `OLD_SQLITE`, `BAD_CONFIG`, `ENCRYPTION_KEY_MISSING`, `ENCRYPTION_KEY_WRONG`,
   * `CLOSED`, `IO`, `OUTCOME_UNKNOWN` (the disk failed during the commit and has not recovered: what
   * was asked for may be there when the database is opened again, or not), `LEASE_LOST` (the delivery
   * that writes this was given to another process), `INTERNAL`, `INVALID`, `NOT_FOUND`, `NO_ADDON`,
   * `NOT_CONFIGURED` (the SDK of this process uses another World) or `UNSUPPORTED_SDK` (the app's `workflow` is of another line).
   */
  code?: string;
  /** Not used by this World. */
  url?: string;
  /** Seconds to wait before trying again. */
  retryAfter?: number;
  constructor(
    message: string,
    options?: {
      status?: number;
      code?: string;
      url?: string;
      retryAfter?: number;
      cause?: unknown;
    },
  );
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is WorkflowWorldError;
}

/** No live hook has the token. */
export class HookNotFoundError extends Error {
  /** The token that was asked for. */
  token: string;
  constructor(token: string);
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is HookNotFoundError;
}

/** There is no run with this id. */
export class WorkflowRunNotFoundError extends Error {
  /** The id that was asked for. */
  runId: string;
  constructor(runId: string);
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is WorkflowRunNotFoundError;
}

/** Something did not come within the time that the caller gave it. */
export class TimeLimitError extends Error {
  /** The limit, in milliseconds. */
  readonly timeout: number;
  constructor(what: string, timeout: number);
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is TimeLimitError;
}

/** An idempotency key was used before with another payload: use a fresh key for this one. */
export class IdempotencyConflictError extends Error {
  constructor(message: string);
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is IdempotencyConflictError;
}

/** The run that was waited for has failed. */
export class WorkflowRunFailedError extends Error {
  /** The run. */
  runId: string;
  /** What the workflow threw, as an `Error` with its message, stack and code. */
  override cause: Error & { code?: string };
  constructor(runId: string, error: StructuredError);
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is WorkflowRunFailedError;
}

/** The run that was waited for has been cancelled. */
export class WorkflowRunCancelledError extends Error {
  /** The run. */
  runId: string;
  constructor(runId: string);
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is WorkflowRunCancelledError;
}

/** The SDK was used wrongly, or a value cannot be serialized; nothing was written. */
export class WorkflowRuntimeError extends Error {
  constructor(message: string, options?: { cause?: unknown; slug?: string });
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is WorkflowRuntimeError;
}

/** The entity is not in a state that allows the event: it exists already, or has ended. */
export class EntityConflictError extends WorkflowWorldError {
  constructor(message: string);
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is EntityConflictError;
}

/** The run has ended. */
export class RunExpiredError extends WorkflowWorldError {
  constructor(message: string);
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is RunExpiredError;
}

/** The step may not be tried again before `retryAfter` seconds. */
export class TooEarlyError extends WorkflowWorldError {
  constructor(message: string, options?: { retryAfter?: number });
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is TooEarlyError;
}

/** Too much at once; try again after `retryAfter` seconds. */
export class ThrottleError extends WorkflowWorldError {
  constructor(message: string, options?: { retryAfter?: number });
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is ThrottleError;
}

/** The run was made by a newer SDK than this World knows. */
export class RunNotSupportedError extends Error {
  /** The spec version of the run. */
  runSpecVersion: number;
  /** The newest spec version that this World knows. */
  worldSpecVersion: number;
  constructor(runSpecVersion: number, worldSpecVersion: number);
  /** Whether a value is such an error, of whatever copy of the class. */
  static is(value: unknown): value is RunNotSupportedError;
}
