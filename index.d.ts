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
 * An AES-GCM key of Web Crypto, as `crypto.subtle.importKey()` returns it. Its type is written out
 * here, so that you need neither the DOM's types nor Node's.
 */
export interface CryptoKey {
  /** The algorithm that the key is for, for example `{ name: 'AES-GCM' }`. */
  readonly algorithm: { name: string };
  /** Whether the key may be exported. */
  readonly extractable: boolean;
  /** `'secret'` for AES. */
  readonly type: string;
  /** What the key may be used for; `resumeHook()` needs `'encrypt'`. */
  readonly usages: readonly string[];
}

/**
 * Sends a payload to a hook, and wakes the workflow run that waits for it.
 *
 * One transaction checks that the hook is alive, appends the `hook_received` event and enqueues the
 * wake-up. When the promise resolves, all of it is on disk. When the promise rejects, none of it
 * is, except with the code `OUTCOME_UNKNOWN`: then the disk failed during the commit and has not
 * recovered. `resumeHook()` does not wait for the workflow.
 *
 * Works in any process that reaches the database, also one that never called `start()`.
 *
 * @typeParam T - The type of the payload.
 * @param tokenOrHook - The hook's token, or a hook from {@link getHookByToken}.
 * @param payload - The value that the workflow receives; any value that the Workflow SDK can
 *   serialize.
 * @param encryptionKeyOverride - Encrypts the payload with this key. Ignored when the run's SDK is
 *   too old to decrypt.
 * @returns The resumed hook: the given object itself, or the hook with the given token, with its
 *   metadata hydrated.
 *
 * @throws {@link HookNotFoundError} (its `token` is the token) when no live hook has this token:
 *   the hook never existed, it was disposed, or its run has ended. A token of more than 65,536
 *   UTF-16 units, or with a lone surrogate, names no hook.
 * @throws {@link WorkflowRunNotFoundError} when the hook's run does not exist.
 * @throws `TypeError` when `tokenOrHook` is neither a string nor an object with `runId`, `hookId`
 *   and `token`.
 * @throws `WorkflowRuntimeError` (by `name`) when the payload cannot be serialized.
 * @throws {@link WorkflowWorldError} when the database cannot be used; retry when `status` is 500
 *   or more. After `OUTCOME_UNKNOWN` a retry may resume a second time, unless it has an idempotency
 *   key.
 * @throws {@link ThrottleError} when too many writes are waiting; retry after its `retryAfter`.
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
  encryptionKeyOverride?: PayloadKey,
): Promise<FoundHook>;
/**
 * Resumes a hook with options of this package, above all for senders that repeat a request.
 *
 * @example
 * A webhook provider repeats its request when it has not got our answer:
 * ```ts
 * await resumeHook(token, await request.json(), {
 *   idempotencyKey: request.headers.get('x-delivery-id') ?? undefined,
 * });
 * ```
 *
 * @throws {@link IdempotencyConflictError} when the key was used for another payload; then nothing
 *   is written.
 * @throws `TypeError` for an unknown option, and for a payload with streams beside a key.
 */
export function resumeHook<T = any>(
  tokenOrHook: string | Hook,
  payload: NonNullable<T>,
  options: ResumeHookOptions,
): Promise<FoundHook>;

/** A hook, as the functions of this package show it. */
export interface FoundHook extends Hook {
  /**
   * The metadata that the workflow gave the hook: with workflow 4 the value itself, and no such key
   * without metadata; with workflow 5 a promise of it, which reads it at the first look. `await` works
   * with both.
   */
  metadata: any;
}

/**
 * A key that a payload is encrypted with: of Web Crypto, or the keys of a run as workflow 5 makes
 * them.
 */
export type PayloadKey =
  | CryptoKey
  | { readonly recipientPublicKey: Uint8Array }
  | { readonly aes: CryptoKey; readonly keyPair: object };

/**
 * Options of {@link resumeHook}. They must be a plain object, because the argument may also be a
 * key.
 */
export interface ResumeHookOptions {
  /**
   * Makes the resume happen once. Within {@link idempotencyWindow} of the first call, another call
   * with this key and token resolves to the hook of the first call, and appends nothing. This also
   * holds if the hook, its run or this process has ended meanwhile, and for concurrent calls.
   *
   * The serialized payload must be the same. A key has up to 1024 characters; Hookline stores only
   * a digest of it. `undefined` means no key.
   */
  idempotencyKey?: string;
  /** Milliseconds for which the key is kept. Default: {@link IDEMPOTENCY_WINDOW_MS}. */
  idempotencyWindow?: number;
  /** The documented `encryptionKeyOverride`. */
  encryptionKey?: PayloadKey;
}

/** For how many milliseconds an idempotency key is kept by default: seven days. */
export const IDEMPOTENCY_WINDOW_MS: number;

/**
 * Finds the live hook with a token.
 *
 * @param token - The hook's token.
 * @returns A new object for every call.
 *
 * @throws {@link HookNotFoundError} when no live hook has this token.
 * @throws `TypeError` when the token is not a string.
 * @throws {@link WorkflowWorldError} when the database cannot be used.
 */
export function getHookByToken(token: string): Promise<FoundHook>;

/**
 * Waits for a live hook with this token. Use it in code that starts a run and then resumes it.
 *
 * The promise resolves when this process or another commits the hook; nothing polls meanwhile.
 *
 * @returns The hook, as {@link getHookByToken} returns it.
 *
 * @throws {@link TimeLimitError} when there is no such hook within `timeout`.
 * @throws {@link HookNotFoundError} for a token that no hook can have, because it is too long.
 * @throws {@link WorkflowWorldError} with code `CLOSED` when the World is closed meanwhile.
 * @throws the reason of `signal`, when `signal` aborts.
 *
 * @example
 * ```ts
 * await start(approval, ['42']);
 * await waitForHook('invoice-42', { timeout: 10_000 });
 * await resumeHook('invoice-42', { approved: true });
 * ```
 */
export function waitForHook(token: string, options?: WaitForHookOptions): Promise<FoundHook>;

/** Options of {@link waitForHook}. */
export interface WaitForHookOptions {
  /** Milliseconds to wait at most. Default: no limit. */
  timeout?: number;
  /** Ends the wait. */
  signal?: AbortSignal;
}

/**
 * Resumes a hook made by `createWebhook()` with a request, and returns the response to the request.
 *
 * By default the response is 202 without a body. With `createWebhook({ respondWith })` it is the
 * given `Response`. With `respondWith: 'manual'` it is the response that a step of the workflow
 * passes to `request.respondWith()`; the body of that response is read completely first.
 *
 * @param token - The webhook's token.
 * @param request - The request as it arrived; its body must not have been read.
 *
 * @throws {@link HookNotFoundError} when no live webhook has this token: answer 404. A hook made by
 *   `createHook()` is not a webhook; the error does not reveal that it exists.
 * @throws {@link WorkflowRuntimeError} when `respondWith` has another value, and when the run ends,
 *   or closes the response, without an answer.
 * @throws {@link TimeLimitError} when a manual response takes longer than `timeout`: answer 504.
 *   The workflow has the request nevertheless.
 * @throws {@link WorkflowWorldError} when the database cannot be used: answer 503, so that the
 *   sender tries again.
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
  /** Milliseconds to wait for a manual response at most. Default: until the run ends. */
  timeout?: number;
}

/** Does nothing. It is here because `workflow/api` exports it, for the SDK's compiler. */
export function runStep(): void;

// ---------------------------------------------------------------------------------------------
// Starting and following runs
// ---------------------------------------------------------------------------------------------

/** A workflow function as you write it; `start()` accepts it after the SDK has compiled it. */
export type WorkflowFunction<TArgs extends unknown[], TResult> = (
  ...args: TArgs
) => Promise<TResult>;

/** The properties that the SDK's build adds to a workflow function. */
export type WorkflowMetadata = {
  /** The workflow's name, for example `workflow//./workflows/approval//approval`. */
  workflowId: string;
};

/** The options that every call of {@link start} may have. */
export interface StartOptionsBase {
  /** The World to start on. Default: the World of this process. */
  world?: object;
  /** The spec version of the run. Default: the spec version of the World. */
  specVersion?: number;
  /**
   * Texts that the run shows beside its data: up to 64, with keys of up to 256 characters and values
   * of up to 256 bytes. Needs workflow 5, as do the options below; workflow 4 ignores them.
   */
  attributes?: Record<string, string>;
  /** Whether keys of `attributes` may begin with `$`, which is reserved for frameworks. */
  allowReservedAttributes?: boolean;
  /**
   * `0` deletes the run's data when it ends; then `run.returnValue` rejects with
   * {@link RunExpiredError}. `'default'` is as without the option.
   */
  experimental_retention?: 0 | 'default';
  /** The run that this run repeats, for those who look at it. */
  replayedFromRunId?: string;
  /** The namespace of the queue. Default: `WORKFLOW_QUEUE_NAMESPACE`. */
  namespace?: string;
  /** This World has no regions. */
  region?: string;
}

/** Options that name a deployment. */
export interface StartOptionsWithDeploymentId extends StartOptionsBase {
  /**
   * The release that the run belongs to: only its processes run it. `'latest'` is the newest release
   * that has a living process of this SDK's line. In a process without a release
   * (`WORKFLOW_HOOKLINE_DEPLOYMENT_ID`) it has no effect; `start()` says so once on the console.
   *
   * With this option the types of arguments and result are `unknown`, because another deployment
   * may have other types.
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
 * One transaction writes the run and the message that starts it. When the promise resolves, both
 * are on disk. When the promise rejects, neither is, except with the code `OUTCOME_UNKNOWN`. When
 * the process dies, either both are or neither is. `start()` does not wait for the workflow.
 *
 * Works in any process that reaches the database, also one that never called `start()` on a World.
 *
 * @param workflow - The workflow function, as the SDK has compiled it, or its `workflowId`.
 * @param args - Its arguments; any values that the Workflow SDK can serialize. `start()` uploads
 *   streams among them in the background.
 * @returns The run.
 *
 * @throws {@link WorkflowRuntimeError} when `workflow` is not a workflow function, or when the
 *   arguments cannot be serialized.
 * @throws {@link WorkflowWorldError} when the database cannot be used (retry when `status` is 500
 *   or more).
 * @throws {@link ThrottleError} when too many writes are waiting; retry after its `retryAfter`.
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
 * Makes an object for the run with this id, without looking it up. If the run does not exist, the
 * first use of the object rejects.
 *
 * @example
 * ```ts
 * const status = await getRun(runId).status;
 * ```
 */
export function getRun<TResult>(runId: string): Run<TResult>;

/**
 * A workflow run. Each property that is a promise reads the run again.
 *
 * All of them except `exists` reject with {@link WorkflowRunNotFoundError} when there is no such
 * run, and with {@link WorkflowWorldError} when the database cannot be used.
 */
export class Run<TResult> {
  constructor(runId: string);
  /** Its id. */
  readonly runId: string;
  /** Whether there is such a run. */
  get exists(): Promise<boolean>;
  /** Its status. */
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
   * The return value of the workflow. The promise resolves when this process or another commits the
   * end of the run. Nothing polls meanwhile, however many promises wait. A script that awaits it
   * stays alive.
   *
   * Rejects with {@link WorkflowRunFailedError} or {@link WorkflowRunCancelledError} when the run
   * failed or was cancelled, and with {@link WorkflowWorldError} (code `CLOSED`) when the World is
   * closed meanwhile.
   */
  get returnValue(): Promise<TResult>;
  /** The stream of the run's `getWritable()`: {@link getReadable} without options. */
  get readable(): WorkflowReadableStream;
  /** The values that the run writes to one of its streams, from a chunk on, as they arrive. */
  getReadable<R = any>(options?: WorkflowReadableStreamOptions): WorkflowReadableStream<R>;
  /** A sink of the stream of the run's `getWritable()`: {@link getWritable} without options. */
  get writable(): WritableStream;
  /**
   * A sink of values for one of the run's streams. Nothing is looked up before the first write.
   * Closing it closes the stream for all; `releaseLock()` of a writer only writes what is pending.
   * Needs workflow 5.
   */
  getWritable<W = any>(options?: WorkflowRunWritableStreamOptions): WritableStream<W>;
  /**
   * Cancels the run.
   *
   * @throws {@link EntityConflictError} when it has completed or failed already.
   */
  cancel(options?: CancelRunOptions): Promise<void>;
  /**
   * Ends pending `sleep()`s of the run, all of them or the named ones, and wakes the run, in one
   * transaction.
   *
   * @throws `Error` with the reason as its `cause`.
   */
  wakeUp(options?: StopSleepOptions): Promise<StopSleepResult>;
}

/** Functions that are called when a run has ended; see {@link registerLifecycleHooks}. */
export interface WorkflowLifecycleHooks {
  /** The run has completed. */
  onRunCompleted?(ended: { workflowName: string; run: EndedRun }): void | Promise<void>;
  /** The run has failed, after all its retries. */
  onRunFailed?(ended: {
    workflowName: string;
    run: EndedRun;
    /** A {@link WorkflowRunFailedError}. */
    error: Error & { runId: string; errorCode?: string };
  }): void | Promise<void>;
}

/** A run that has ended, as the SDK shows it. */
export type EndedRun = Pick<Run<unknown>, keyof Run<unknown>>;

/**
 * Adds functions that the runtime of workflow 5 calls in the process that has written the end of a
 * run; with workflow 4 nothing calls them. They can neither delay nor change the run, and are not
 * repeated when their process dies.
 *
 * @returns A function that removes them.
 */
export function registerLifecycleHooks(hooks: WorkflowLifecycleHooks): () => void;

/** Options of {@link Run.cancel}. */
export interface CancelRunOptions {
  /** Why, for those who look at the run: up to 512 characters. Workflow 4 ignores it. */
  cancelReason?: string;
}

/** Which of a run's streams {@link Run.getWritable} writes to, and how. */
export interface WorkflowRunWritableStreamOptions {
  /** Promises of the writes are pushed to this list. */
  ops?: Promise<any>[];
  /** The global object whose classes are used. */
  global?: Record<string, any>;
  /** Default: the run's stream without a namespace. */
  namespace?: string;
}

/** The sleeps that {@link Run.wakeUp} ends; without this option, all pending sleeps. */
export interface StopSleepOptions {
  /** Correlation ids of the sleeps. */
  correlationIds?: string[];
}

/** The result of {@link Run.wakeUp}. */
export interface StopSleepResult {
  /** How many sleeps it ended. */
  stoppedCount: number;
}

/** A stream of a run, with the index of its last chunk. */
export type WorkflowReadableStream<R = any> = ReadableStream<R> & {
  /** The index of the last chunk that has been written, -1 when there is none. */
  getTailIndex(): Promise<number>;
};

/** Options of {@link Run.getReadable}. */
export interface WorkflowReadableStreamOptions {
  /** The namespace of the stream, as in `getWritable({ namespace })`. */
  namespace?: string;
  /** The first chunk to read; a negative index counts from the end of the present chunks. */
  startIndex?: number;
  /** Receives promises of background work, for a platform's `waitUntil`. */
  ops?: Promise<any>[];
  /** The global object whose classes the values get. Default: `globalThis`. */
  global?: Record<string, any>;
}

// ---------------------------------------------------------------------------------------------
// The World
// ---------------------------------------------------------------------------------------------

/**
 * The line for a server's start: puts the World where the Workflow SDK looks for it, opens the
 * database and begins to deliver, so that sleeping and interrupted runs continue by themselves.
 * Resolves when this process can deliver. A second call changes nothing.
 *
 * If that fails, it prints the error and stops the process with exit code 1: a server that went on
 * would accept work that nobody does. It does nothing while a framework builds the app, and nothing
 * when `WORKFLOW_TARGET_WORLD` names another World. In the role `producer` or `reader` it opens the
 * database, and delivers nothing.
 *
 * Next.js has `register()` of `hookline/next`, and Nitro the module `hookline/nitro`, which call it.
 *
 * @example
 * ```ts
 * import { startDelivery } from 'hookline';
 *
 * await startDelivery();
 * ```
 */
export function startDelivery(): Promise<void>;

/**
 * Makes a World of the Workflow SDK, on the database that the options or the environment name.
 *
 * It is synchronous, does no I/O and never throws. Worlds of one process that name the same
 * database share one engine. You may take the methods off the object and call them alone.
 *
 * @example
 * The SDK makes the World itself if this variable is set:
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
 * The database refused an operation, or could not do it, and no other class describes the reason.
 *
 * Every error class here is the SDK's own. Recognise an error by its `name`, or by the static
 * `is()` of its class, which compares the name; `instanceof` fails between two copies of a package.
 * A class that extends this one has its own name, so `WorkflowWorldError.is()` is false for its
 * errors: an overload, for example, is a {@link ThrottleError}.
 */
export class WorkflowWorldError extends Error {
  /** Like an HTTP status: retry at 500 and more; 400 is a mistake of the caller. */
  status?: number;
  /**
   * The reason: `BUSY`, `STORAGE_FULL`, `READ_ONLY`, `CANNOT_OPEN`, `CORRUPT`, `FOREIGN_FILE`,
   * `NEWER_DATABASE`, `OLD_SQLITE`, `BAD_CONFIG`, `ENCRYPTION_KEY_MISSING`, `ENCRYPTION_KEY_WRONG`,
   * `CLOSED`, `IO`, `OUTCOME_UNKNOWN` (the disk failed during the commit and has not recovered: the
   * write may be there when the database is opened again, or not), `CODE_MISMATCH` (the code of this process does not fit the run, and other code may), `RELEASE_GONE` (a person has said that the release of the run is gone), `LEASE_LOST` (the writing
   * delivery has lost its lease to another delivery), `INTERNAL`, `INVALID`, `NOT_FOUND`,
   * `NO_ADDON`, `NOT_CONFIGURED` (the SDK of this process uses another World, which nobody has asked for) or `UNSUPPORTED_SDK`
   * (the app's `workflow` is of another line).
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
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is WorkflowWorldError;
}

/** No live hook has the token. */
export class HookNotFoundError extends Error {
  /** The token that the caller passed. */
  token: string;
  constructor(token: string);
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is HookNotFoundError;
}

/** There is no run with this id. */
export class WorkflowRunNotFoundError extends Error {
  /** The id that the caller passed. */
  runId: string;
  constructor(runId: string);
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is WorkflowRunNotFoundError;
}

/** Something did not arrive within the time limit of the caller. */
export class TimeLimitError extends Error {
  /** The limit, in milliseconds. */
  readonly timeout: number;
  constructor(what: string, timeout: number);
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is TimeLimitError;
}

/** An idempotency key was used before with another payload: use a fresh key for this one. */
export class IdempotencyConflictError extends Error {
  constructor(message: string);
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is IdempotencyConflictError;
}

/** The awaited run has failed. */
export class WorkflowRunFailedError extends Error {
  /** The run. */
  runId: string;
  /** The error that the workflow threw, as an `Error` with its message, stack and code. */
  override cause: Error & { code?: string };
  /** Why it failed, from a closed list; with workflow 5 only. */
  errorCode?: string;
  constructor(runId: string, error: StructuredError);
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is WorkflowRunFailedError;
}

/** The awaited run was cancelled. */
export class WorkflowRunCancelledError extends Error {
  /** The run. */
  runId: string;
  constructor(runId: string);
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is WorkflowRunCancelledError;
}

/** The SDK was used wrongly, or a value cannot be serialized; nothing was written. */
export class WorkflowRuntimeError extends Error {
  constructor(message: string, options?: { cause?: unknown; slug?: string });
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is WorkflowRuntimeError;
}

/** The entity is not in a state that allows the event: it exists already, or has ended. */
export class EntityConflictError extends WorkflowWorldError {
  constructor(message: string);
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is EntityConflictError;
}

/** The run has ended. */
export class RunExpiredError extends WorkflowWorldError {
  constructor(message: string);
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is RunExpiredError;
}

/** The step may not be tried again before `retryAfter` seconds. */
export class TooEarlyError extends WorkflowWorldError {
  constructor(message: string, options?: { retryAfter?: number });
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is TooEarlyError;
}

/** Too many operations at once; try again after `retryAfter` seconds. */
export class ThrottleError extends WorkflowWorldError {
  constructor(message: string, options?: { retryAfter?: number });
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is ThrottleError;
}

/** The run was made by a newer SDK than this World knows. */
export class RunNotSupportedError extends Error {
  /** The spec version of the run. */
  runSpecVersion: number;
  /** The newest spec version that this World knows. */
  worldSpecVersion: number;
  constructor(runSpecVersion: number, worldSpecVersion: number);
  /** Whether a value is such an error, made by any copy of the class. */
  static is(value: unknown): value is RunNotSupportedError;
}
