/**
 * Hookline: durable workflows on one file. A World for the Workflow SDK (`workflow` 4 and 5) whose
 * `resumeHook` is one atomic operation.
 *
 * This file is the reference of the public surface. Importing the package opens no database and
 * loads no native code; the first operation does.
 *
 * @packageDocumentation
 */

import type { Hook } from './records.js';
import type { World, WorldOptions } from './world.js';

export * from './errors.js';
export type * from './inspection.js';
export type * from './records.js';
export * from './runs.js';
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
