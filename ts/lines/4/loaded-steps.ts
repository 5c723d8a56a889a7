/**
 * Which steps this process has loaded. The SDK registers its step handler when `workflow/runtime` is
 * imported, but the steps only when the module of the step route is loaded.
 */

/** The SDK's table of steps by id, one for all bundles of a process (`@workflow/core`'s private.js). */
const REGISTERED_STEPS = Symbol.for('@workflow/core//registeredSteps');

/** The prefix of the queue of every step, behind the SDK's own names of queues. */
const STEP_QUEUE = /_step_(.+)$/s;

/** The ids of the SDK's steps; handlers of other makers have other names. */
const STEP_ID = /^(?:step\/\/|__builtin)/;

/**
 * Whether the handler of a queue can run its messages in this process: not if the queue is of a step
 * that is not loaded here.
 */
export function isLoadedHere(queueName: string): boolean {
  const stepId = STEP_QUEUE.exec(queueName)?.[1];
  const steps = (globalThis as { [REGISTERED_STEPS]?: Map<string, unknown> })[REGISTERED_STEPS];
  if (stepId === undefined || !steps || !STEP_ID.test(stepId) || steps.has(stepId)) return true;
  const wanted = withoutRoot(stepId);
  for (const loaded of steps.keys()) {
    // A built-in step is registered under the path of its module.
    if (withoutRoot(loaded) === wanted || loaded.endsWith(`//${stepId}`)) return true;
  }
  return false;
}

/** A step's id without the folder of its workflows: the SDK takes ids for equal that differ in it. */
function withoutRoot(stepId: string): string {
  return stepId.replace(/^step\/\/\.\/(?:example\/|src\/)?(?=workflows\/)/, 'step//./');
}
