/** In which step code runs, as the SDK itself knows it. */

/** The SDK's context of a step, one for all bundles of a process (its `step/context-storage.js`). */
const STEP_CONTEXT = Symbol.for('WORKFLOW_STEP_CONTEXT_STORAGE');

/** An attempt of a step. */
export interface StepAttempt {
  runId: string;
  stepId: string;
  /** How many attempts have begun, with this one. */
  number: number;
  /** The same object everywhere in the attempt, and in no other one. */
  identity: object;
}

/** The attempt in which this is called; `undefined` outside of the code of steps. */
export function stepAttempt(): StepAttempt | undefined {
  const { [STEP_CONTEXT]: storage } = globalThis as {
    [STEP_CONTEXT]?: { getStore(): unknown };
  };
  const { stepMetadata, workflowMetadata } = (storage?.getStore() ?? {}) as {
    stepMetadata?: { stepId?: unknown; attempt?: unknown };
    workflowMetadata?: { workflowRunId?: unknown };
  };
  const { stepId, attempt } = stepMetadata ?? {};
  const runId = workflowMetadata?.workflowRunId;
  if (!stepMetadata || typeof stepId !== 'string' || typeof runId !== 'string') return undefined;
  return { runId, stepId, number: Number(attempt), identity: stepMetadata };
}
