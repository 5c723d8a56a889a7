/**
 * The classes of errors. `index.d.ts` exports all of them; nothing needs to import this file.
 */

import type { StructuredError } from './records.js';

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
   * The reason; the message says what to do.
   *
   * - The database: `BUSY`, `STORAGE_FULL`, `READ_ONLY`, `CANNOT_OPEN`, `CORRUPT`, `FOREIGN_FILE`,
   *   `NEWER_DATABASE`, `OLD_SQLITE`, `IO`, `MOVED` (to another place, which the message names),
   *   `ENCRYPTION_KEY_MISSING`, `ENCRYPTION_KEY_WRONG`, and `OUTCOME_UNKNOWN` (the disk failed during the
   *   commit and has not recovered: the write may be there when the database is opened again, or not).
   * - The set-up: `BAD_CONFIG`, `NO_ADDON`, `NOT_CONFIGURED` (the SDK of this process uses another World,
   *   which nobody has asked for), `UNSUPPORTED_SDK` (the app's `workflow` is of another line).
   * - The call: `INVALID`, `NOT_FOUND`, `CLOSED`.
   * - Deliveries and releases: `LEASE_LOST` (the writing delivery has lost its lease to another
   *   delivery), `CODE_MISMATCH` (the code of this process does not fit the run, and other code may),
   *   `RELEASE_GONE` (a person has said that the release of the run is gone).
   * - `INTERNAL`: a defect of hookline, to be reported.
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
