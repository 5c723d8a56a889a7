/** What the package exports wherever it is imported: nothing here needs Node. */

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
} from '../native/errors';
export { IDEMPOTENCY_WINDOW_MS } from './limits';
