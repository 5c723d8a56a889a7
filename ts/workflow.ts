/**
 * The module that workflow code gets instead of this package: the SDK bundles workflows with the
 * condition `workflow`, and they run in a sandbox without Node. The error classes are real, so that
 * a workflow can recognise an error of a step. Each function throws an error that says where to
 * call it.
 */

import { refusals } from './api/refusals';

export * from './api/everywhere';

export const {
  createWorld,
  getHookByToken,
  getRun,
  registerLifecycleHooks,
  resumeHook,
  resumeWebhook,
  Run,
  runStep,
  start,
  startDelivery,
  waitForHook,
} = refusals(
  'cannot run inside a workflow. Call it in a step function ("use step"), or outside of the workflow.',
);
export default createWorld;
