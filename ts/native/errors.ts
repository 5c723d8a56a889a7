/**
 * Turns the addon's fault codes into the error classes that the Workflow SDK knows.
 *
 * The SDK recognises an error by its `name`, across bundles and realms, so these are the SDK's own
 * classes (`@workflow/errors`), bundled into this package. JavaScript must make the errors, because
 * an error that the addon makes is not `instanceof Error` under Jest.
 */
import {
  EntityConflictError,
  HookNotFoundError,
  RunExpiredError,
  RunNotSupportedError,
  ThrottleError,
  TooEarlyError,
  WorkflowRunCancelledError,
  WorkflowRunFailedError,
  WorkflowRunNotFoundError,
  WorkflowRuntimeError,
  WorkflowWorldError,
} from '@workflow/errors';

export {
  EntityConflictError,
  HookNotFoundError,
  RunExpiredError,
  RunNotSupportedError,
  ThrottleError,
  TooEarlyError,
  WorkflowRunCancelledError,
  WorkflowRunFailedError,
  WorkflowRunNotFoundError,
  WorkflowRuntimeError,
  WorkflowWorldError,
};

/** Why a native operation was refused; `code` is one of the closed list in `src/error.rs`. */
export interface NativeFault {
  code: string;
  message: string;
  details: Record<string, unknown>;
}

/** Something did not arrive within the time limit of the caller. */
export class TimeLimitError extends Error {
  override readonly name = 'TimeLimitError';

  /** `what` begins the message; `timeout` is in milliseconds; `why` may say more. */
  constructor(
    what: string,
    readonly timeout: number,
    why?: string,
  ) {
    super(`${what} did not come within ${timeout} ms${why ? `: ${why}` : ''}.`);
  }

  static is(value: unknown): value is TimeLimitError {
    return (value as Error | null | undefined)?.name === 'TimeLimitError';
  }
}

/** An idempotency key was used for another payload before. */
export class IdempotencyConflictError extends Error {
  override readonly name = 'IdempotencyConflictError';

  static is(value: unknown): value is IdempotencyConflictError {
    return (value as Error | null | undefined)?.name === 'IdempotencyConflictError';
  }
}

const CLASSES: Record<string, (fault: NativeFault) => Error> = {
  RUN_NOT_FOUND: ({ details }) => new WorkflowRunNotFoundError(String(details.runId ?? '')),
  HOOK_NOT_FOUND: ({ details }) => new HookNotFoundError(String(details.token ?? '')),
  ENTITY_CONFLICT: ({ message }) => new EntityConflictError(message),
  IDEMPOTENCY_CONFLICT: ({ message }) => new IdempotencyConflictError(message),
  RUN_EXPIRED: ({ message }) => new RunExpiredError(message),
  TOO_EARLY: ({ message, details }) =>
    new TooEarlyError(message, { retryAfter: numberOf(details.retryAfter) }),
  THROTTLED: ({ message, details }) =>
    new ThrottleError(message, { retryAfter: numberOf(details.retryAfter) }),
  RUN_NOT_SUPPORTED: ({ details }) =>
    new RunNotSupportedError(Number(details.runSpecVersion), Number(details.worldSpecVersion)),
  // Without a status, because then the runtime lets the delivery fail for a missing step or wait.
  NOT_FOUND: ({ code, message }) => new WorkflowWorldError(message, { code }),
  INVALID: ({ code, message }) => new WorkflowWorldError(message, { code, status: 400 }),
};

/**
 * The error that a caller sees for a native fault.
 *
 * Every code without a class of its own becomes a `WorkflowWorldError` with that `code` and the
 * HTTP-like `status` of the fault's details; the runtime retries from 500 up.
 */
export function toError(fault: NativeFault): Error {
  const known = Object.hasOwn(CLASSES, fault.code) ? CLASSES[fault.code] : undefined;
  if (known) return concise(known({ ...fault, details: fault.details ?? {} }));
  const { code, message, details } = fault;
  return concise(new WorkflowWorldError(message, { code, status: numberOf(details?.status) }));
}

/** Drops the fields that the SDK's classes set to nothing, because Node prints each of them. */
export function concise<T extends Error>(error: T): T {
  const fields = error as Record<string, unknown>;
  for (const name of Object.keys(fields)) {
    if (fields[name] === undefined) delete fields[name];
  }
  // Node prints this field too where it is not enumerable.
  if (error.cause === undefined) delete error.cause;
  return error;
}

/** Whether the code of this process does not fit the run, while other code may. */
export function isCodeMismatch(error: unknown): boolean {
  return WorkflowWorldError.is(error) && error.code === 'CODE_MISMATCH';
}

/** The error for a wrong argument: status 400, code `INVALID`. */
export function invalid(message: string): Error {
  return toError({ code: 'INVALID', message, details: {} });
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
