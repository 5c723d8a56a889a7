/**
 * The module that workflow code gets instead of this package: the SDK bundles workflows with the
 * condition `workflow`, and they run in a sandbox without Node. The error classes are real, so that
 * a workflow can recognise an error of a step. Each function throws an error that says where to
 * call it.
 */

export { IDEMPOTENCY_WINDOW_MS } from './api/limits';
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

function outside(name: string) {
  return (): never => {
    throw new Error(
      `${name}() of hookline cannot run inside a workflow. Call it in a step function ("use step"), or outside of the workflow.`,
    );
  };
}

export const createWorld = outside('createWorld');
export const getHookByToken = outside('getHookByToken');
export const getRun = outside('getRun');
export const resumeHook = outside('resumeHook');
export const resumeWebhook = outside('resumeWebhook');
export const runStep = outside('runStep');
export const start = outside('start');
export const startDelivery = outside('startDelivery');
export const waitForHook = outside('waitForHook');
export default createWorld;

export class Run {
  constructor() {
    outside('new Run')();
  }
}
