/** What the options of `start` in SDK 5.x add to the new run. */
import type { StartOptions } from '../../../index';
import type { Creation } from '../line';

type Sdk = typeof import('./sdk');

/** The first spec version of runs with attributes. */
const WITH_ATTRIBUTES = 4;

/** Where the SDK keeps the step in which code runs; one for all copies of the SDK in a process. */
const STEP_CONTEXT = Symbol.for('WORKFLOW_STEP_CONTEXT_STORAGE');

/** The id of a run: a ULID behind its prefix. */
const RUN_ID = /^wrun_[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

/**
 * The version of the SDK's protocol in which a resume is an event before it is a message
 * (`HOOK_RESUME_INPUT_VERSION`).
 */
const HOOK_RESUME_INPUT_VERSION = 1;

/**
 * Checks the options as the SDK does, with its own errors.
 *
 * @throws the SDK's `WorkflowRuntimeError` or `FatalError`.
 */
export function creationOf(sdk: Sdk, options: StartOptions, specVersion: number): Creation {
  const { replayedFromRunId } = options;
  const asked = attributesOf(sdk, options, specVersion);
  const retention = retentionOf(sdk, options, specVersion);
  const lineage = specVersion >= WITH_ATTRIBUTES ? lineageHere() : undefined;
  if (replayedFromRunId !== undefined && !RUN_ID.test(String(replayedFromRunId))) {
    const shown = JSON.stringify(String(replayedFromRunId).slice(0, 64));
    throw new sdk.WorkflowRuntimeError(
      `replayedFromRunId must be a run ID (wrun_<ulid>); received ${shown}.`,
    );
  }
  const workflowVm = sdk.getWorkflowVmFromEnv();
  // The options of the caller win over the lineage, and `experimental_retention` over both.
  const attributes = asked || lineage || retention ? { ...lineage, ...asked, ...retention } : null;
  const allowsReserved = options.allowReservedAttributes === true || lineage || retention;
  return {
    eventData: {
      ...(attributes && { attributes }),
      ...(attributes && allowsReserved && { allowReservedAttributes: true }),
    },
    executionContext: {
      hookResumeInputVersion: HOOK_RESUME_INPUT_VERSION,
      ...(workflowVm && { workflowVm }),
      ...(replayedFromRunId && { replayedFromRunId }),
    },
  };
}

function attributesOf(
  sdk: Sdk,
  { attributes, allowReservedAttributes }: StartOptions,
  specVersion: number,
): Record<string, string> | undefined {
  if (!attributes || Object.keys(attributes).length === 0) return undefined;
  if (specVersion < WITH_ATTRIBUTES) {
    throw new sdk.WorkflowRuntimeError(
      'Initial workflow attributes require a World that supports spec version 4 or later.',
    );
  }
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'string') continue;
    throw new sdk.WorkflowRuntimeError(
      `Initial workflow attribute ${JSON.stringify(key)} must be a string value.`,
    );
  }
  const changes = sdk.normalizeAttributeChanges(attributes, {
    allowReservedAttributes: allowReservedAttributes === true,
  });
  return Object.fromEntries(changes.map(({ key, value }) => [key, String(value)]));
}

function retentionOf(
  sdk: Sdk,
  { experimental_retention: retention }: StartOptions,
  specVersion: number,
): Record<string, string> | undefined {
  if (retention === undefined || retention === 'default') return undefined;
  if (retention !== 0) {
    throw new sdk.WorkflowRuntimeError(
      `start({ experimental_retention }) must be 0 or 'default'; received ${JSON.stringify(retention)}.`,
    );
  }
  if (specVersion < WITH_ATTRIBUTES) {
    throw new sdk.WorkflowRuntimeError(
      'start({ experimental_retention }) requires a World that supports spec version 4 or later.',
    );
  }
  return { $retention: '0' };
}

/** The run in one of whose steps this code runs, as the parent of the new run. */
function lineageHere(): Record<string, string> | undefined {
  interface Step {
    workflowMetadata?: { workflowRunId?: string };
    rootRunId?: string;
  }
  const storage = (globalThis as { [STEP_CONTEXT]?: { getStore(): Step | undefined } })[
    STEP_CONTEXT
  ];
  const step = storage?.getStore();
  const parent = step?.workflowMetadata?.workflowRunId;
  return parent ? { $rootRunId: step.rootRunId ?? parent, $parentRunId: parent } : undefined;
}
