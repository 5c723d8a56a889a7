/**
 * Recognises the events that the SDK's runtime writes only because the code of this process does
 * not fit a run: after a release that changed, renamed or removed the workflow.
 */
import type { EventRequest } from '../../../index';

/** What the runtime writes when each of its replays has diverged from the log. */
const DIVERGED: readonly unknown[] = ['CORRUPTED_EVENT_LOG', 'REPLAY_DIVERGENCE'];

/** The message of the runtime's `WorkflowNotRegisteredError`. */
const NOT_REGISTERED = /^Workflow ".*" is not registered in the current deployment/s;

/** Why the code does not fit a run. */
export interface Misfit {
  /** For people. */
  reason: string;
  /** Whether the code has no workflow of this name. */
  isMissing: boolean;
}

/** Why the code does not fit; `undefined` when an event has any other cause. */
export function misfitOf({ eventType, eventData }: EventRequest): Misfit | undefined {
  if (eventType !== 'run_failed') return undefined;
  const { errorCode, error } = (eventData ?? {}) as {
    errorCode?: unknown;
    error?: { message?: unknown };
  };
  if (DIVERGED.includes(errorCode)) {
    const reason = 'a replay of the workflow does other things than the log of the run says';
    return { reason, isMissing: false };
  }
  const isMissing = errorCode === 'RUNTIME_ERROR' && NOT_REGISTERED.test(String(error?.message));
  return isMissing ? { reason: 'the workflow is not in the code', isMissing } : undefined;
}
