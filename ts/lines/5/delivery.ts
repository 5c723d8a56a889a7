/**
 * Line 5 in a delivery: one kind of queue, whose deliveries replay a run and execute steps, and what
 * the errors of its runtime mean.
 */
import type { EventRequest } from '../../../index';
import { WorkflowRuntimeError } from '../../native/errors';
import type { DeliveryRules, End, KeyOf } from '../line';
import { isLoaded } from '../loaded-steps';
import { expectStrayDivergence } from '../stray-divergence';
import { serializer } from './serializer';
import { SPEC_VERSION } from './spec-version';

/** What the runtime writes when its replays have diverged from the log. */
const DIVERGED: readonly unknown[] = ['CORRUPTED_EVENT_LOG', 'REPLAY_DIVERGENCE'];

/** See `DeliveryRules`. */
export const delivery: DeliveryRules = {
  prefixes: (namespace) => [namespace ? `__${namespace}_wkf_workflow_` : '__wkf_workflow_'],
  queueFor: (queueName) => queueName,
  // The bundle of the route imports the steps.
  isLoadedHere: () => true,
  misfitOf,
  isFinal,
  endOf,
};

/** The message of a step that is no replay. */
function stepOf(message: unknown): { stepId: string; stepName: string } | undefined {
  const { stepId, stepName } = (message ?? {}) as { stepId?: unknown; stepName?: unknown };
  if (typeof stepId !== 'string' || typeof stepName !== 'string') return undefined;
  return { stepId, stepName };
}

/**
 * Where a step is not in the code, the runtime starts it or not, and then fails it. Where the
 * workflow is not, the reason is in the error, which only the serializer can read.
 */
async function misfitOf(
  { eventType, eventData }: EventRequest,
  runId: string,
  keyOf: KeyOf,
): Promise<string | undefined> {
  const { stepName, errorCode, error } = (eventData ?? {}) as Record<string, unknown>;
  if (eventType === 'step_started' || eventType === 'step_failed') {
    const isMissing = typeof stepName === 'string' && !isLoaded(stepName);
    return isMissing ? 'the step is not in the code' : undefined;
  }
  if (eventType !== 'run_failed') return undefined;
  if (DIVERGED.includes(errorCode)) {
    return 'a replay of the workflow does other things than the log of the run says';
  }
  if (errorCode !== 'RUNTIME_ERROR') return undefined;
  const thrown = await serializer
    .hydrateError(error, runId, await keyOf(runId))
    .catch(() => undefined);
  const isMissing = (thrown as Error | undefined)?.name === 'WorkflowNotRegisteredError';
  if (!isMissing) return undefined;
  expectStrayDivergence();
  return 'the workflow is not in the code';
}

/**
 * Whether an error of the runtime is final. A replay of workflow code asks for the same things every
 * time, as for metadata that cannot be serialized. A step may return another value the next time.
 */
function isFinal(error: unknown, message: unknown): boolean {
  const { name } = (error ?? {}) as { name?: unknown };
  const isOfCode = name === 'SerializationError' || WorkflowRuntimeError.is(error);
  return isOfCode && !stepOf(message);
}

/** The event that ends the run or the step of a message, as the runtime itself writes it. */
async function endOf(
  error: Error,
  message: unknown,
  _queueName: string,
  keyOf: KeyOf,
): Promise<End | undefined> {
  const { runId } = (message ?? {}) as { runId?: unknown };
  if (typeof runId !== 'string') return undefined;
  const reason = error.message;
  const thrown = await serializer.dehydrateError(error, runId, await keyOf(runId));
  const step = stepOf(message);
  const event: EventRequest = step
    ? {
        eventType: 'step_failed',
        specVersion: SPEC_VERSION,
        correlationId: step.stepId,
        eventData: { stepName: step.stepName, error: thrown },
      }
    : {
        eventType: 'run_failed',
        specVersion: SPEC_VERSION,
        eventData: { error: thrown, errorCode: 'USER_ERROR' },
      };
  return { runId, event, reason };
}
