/**
 * Errors of line 4 that will never pass, and the event that then ends a run or a step.
 *
 * A replay of workflow code asks for the same things every time. It may ask for a hook whose token
 * is a number, for metadata that cannot be serialized, or for a sleep with an invalid date. SDK
 * 4.8.9 throws such an error out of its handler as if storage had failed, so the message would be
 * delivered again until the 48th attempt ends the run, only for the number of attempts.
 */
import type { EventRequest } from '../../../index';
import { WorkflowRuntimeError } from '../../native/errors';
import type { End } from '../line';
import { isStepQueue, stepNameOf } from './queues';
import { SPEC_VERSION } from './spec-version';

/**
 * Whether an error of the runtime is final: it comes from a replay, whose hook metadata cannot be
 * serialized. Where the runtime catches such an error, it also takes it as final. A step is
 * different: it may return another value the next time, and the runtime counts its attempts.
 */
export function isFinal(error: unknown, _message: unknown, queueName: string): boolean {
  return WorkflowRuntimeError.is(error) && !isStepQueue(queueName);
}

/** The event that ends the run or the step of a message, as the runtime itself writes it. */
export function endOf(error: Error, body: unknown, queueName: string): End | undefined {
  // Workflow code may have made the error itself, with any stack.
  const stack = typeof error.stack === 'string' ? error.stack : undefined;
  const reason = reasonOf(error);
  const { runId, workflowRunId, stepId } = (body ?? {}) as Record<string, unknown>;
  if (isStepQueue(queueName)) {
    if (typeof workflowRunId !== 'string' || typeof stepId !== 'string') return undefined;
    const eventData = { stepName: stepNameOf(queueName), error: reason, stack };
    return { runId: workflowRunId, event: eventOf('step_failed', eventData, stepId), reason };
  }
  if (typeof runId !== 'string') return undefined;
  const eventData = { error: { message: reason, stack }, errorCode: 'USER_ERROR' };
  return { runId, event: eventOf('run_failed', eventData), reason };
}

/**
 * The reason of an error. The SDK's message names step arguments where it means the metadata of a
 * hook.
 */
function reasonOf({ message }: Error): string {
  return message.replace(
    /^Failed to serialize step arguments/,
    'Failed to serialize hook metadata',
  );
}

function eventOf(
  eventType: 'run_failed' | 'step_failed',
  eventData: object,
  correlationId?: string,
): EventRequest {
  return { eventType, specVersion: SPEC_VERSION, correlationId, eventData };
}
