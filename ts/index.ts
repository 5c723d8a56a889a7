/**
 * The package's entry. Loading it opens nothing, starts nothing, and loads neither the addon nor
 * the bundled serializer. `../index.d.ts` documents what it exports.
 */
export {
  EntityConflictError,
  HookNotFoundError,
  IdempotencyConflictError,
  RunExpiredError,
  RunNotSupportedError,
  ThrottleError,
  TimeLimitError,
  TooEarlyError,
  WorkflowRunCancelledError,
  WorkflowRunFailedError,
  WorkflowRunNotFoundError,
  WorkflowRuntimeError,
  WorkflowWorldError,
} from './errors';
export { getHookByToken, resumeHook } from './hooks';
export { IDEMPOTENCY_WINDOW_MS } from './limits';
export { getRun, Run } from './run';
export { runStep } from './run-step';
export { start } from './start';
export { waitForHook } from './wait-for-hook';
export { resumeWebhook } from './webhook';
export { createWorld, createWorld as default } from './world';
