/**
 * Which steps this process has loaded. The SDK registers its step handler when `workflow/runtime` is
 * imported, but the steps only when the module of the step route is loaded.
 */

/** The SDK's table of steps by id, one for all bundles of a process (`@workflow/core`'s private.js). */
const REGISTERED_STEPS = Symbol.for('@workflow/core//registeredSteps');

/** The ids of the SDK's steps; handlers of other makers have other names. */
const STEP_ID = /^(?:step\/\/|__builtin)/;

/** Whether this process can run a step. */
export function isLoaded(stepId: string): boolean {
  const steps = (globalThis as { [REGISTERED_STEPS]?: Map<string, unknown> })[REGISTERED_STEPS];
  if (!steps || !STEP_ID.test(stepId) || steps.has(stepId)) return true;
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
