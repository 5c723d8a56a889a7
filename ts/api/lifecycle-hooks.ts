/** `registerLifecycleHooks`, as `workflow/api` of SDK 5.x documents it. */
import type { WorkflowLifecycleHooks } from '../../index';

/** One list for all copies of the SDK in a process; its runtime calls what is in it. */
const REGISTRY = Symbol.for('@workflow/core//lifecycleHooks');

/** Adds functions that are called when this process has written the end of a run. */
export function registerLifecycleHooks(hooks: WorkflowLifecycleHooks): () => void {
  const registry = registered();
  registry.push(hooks);
  return () => {
    const index = registry.indexOf(hooks);
    if (index !== -1) registry.splice(index, 1);
  };
}

function registered(): WorkflowLifecycleHooks[] {
  const globals = globalThis as { [REGISTRY]?: WorkflowLifecycleHooks[] };
  // As the SDK defines it, which may come first.
  if (!globals[REGISTRY]) Object.defineProperty(globals, REGISTRY, { value: [] });
  return globals[REGISTRY] as WorkflowLifecycleHooks[];
}
