/** How SDK 5.x shows a hook, and what it reads of one that it resumes. */
import type { Hook, WorkflowRun } from '../../../index';

/**
 * Makes `metadata` a promise that is read at the first look, because many callers never look. It is
 * not enumerable, so that a copy or `JSON.stringify` reads nothing.
 */
export async function showMetadata(hook: Hook, read: () => Promise<unknown>): Promise<Hook> {
  const own = Object.getOwnPropertyDescriptor(hook, 'metadata');
  // A hook that a function of the SDK has returned before.
  if (own?.get) return hook;
  const isAbsent = hook.metadata === undefined;
  let metadata: Promise<unknown> | undefined;
  return Object.defineProperty(hook, 'metadata', {
    get() {
      metadata ??= isAbsent ? Promise.resolve(undefined) : read();
      return metadata;
    },
    enumerable: false,
    configurable: true,
  });
}

/** Adds what the SDK would otherwise read from the run. */
export function resumable(hook: Hook, run: WorkflowRun): Hook {
  const { deploymentId, workflowName, specVersion, executionContext, encryptionPublicKey } = run;
  const { workflowCoreVersion, nodeVersion, traceCarrier, hookResumeInputVersion } =
    executionContext ?? {};
  const resumeContext = {
    deploymentId,
    workflowName,
    runSpecVersion: specVersion,
    workflowCoreVersion,
    nodeVersion,
    traceCarrier,
    encryptionPublicKey,
    hookResumeInputVersion,
  };
  return Object.assign(hook, { resumeContext });
}
