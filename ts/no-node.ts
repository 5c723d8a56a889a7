/**
 * The module that code gets instead of this package where there is no Node: in a browser, a worker
 * or an edge runtime, by the conditions `browser`, `workerd` and `edge-light`. It can be imported, so
 * that a build does not break that only needs a type, a class of error or one shared file. Each
 * function throws an error that says where to call it.
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
  "cannot run here. hookline runs in Node.js, and this code was built for a browser, an edge runtime or a worker: call it in code of the server (in Next.js in a server action, or in a route without `runtime = 'edge'`; in Jest with the test environment 'node').",
);
export default createWorld;
