/**
 * The package's entry. Loading it opens nothing, starts nothing, and loads neither the addon nor
 * the bundled serializer. `../index.d.ts` documents what it exports.
 */
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
} from './errors';
export { getHookByToken, resumeHook } from './hooks';
export { getRun, Run } from './run';
export { start } from './start';
export { createWorld, createWorld as default } from './world';
