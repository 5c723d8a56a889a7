/**
 * The package's entry. Loading it opens nothing, starts nothing, and loads neither the addon nor
 * the bundled serializer. `../index.d.ts` documents what it exports.
 */

export { getHookByToken, resumeHook } from './api/hooks';
export { IDEMPOTENCY_WINDOW_MS } from './api/limits';
export { getRun, Run } from './api/run';
export { runStep } from './api/run-step';
export { start } from './api/start';
export { startDelivery } from './api/start-delivery';
export { waitForHook } from './api/wait-for-hook';
export { resumeWebhook } from './api/webhook';
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
} from './native/errors';
export { createWorld, createWorld as default } from './world/world';
