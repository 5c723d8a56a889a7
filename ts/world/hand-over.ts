/**
 * Calls a handler, and decides what its outcome means, above all after an error that will never
 * pass.
 *
 * A replay of workflow code asks for the same things every time. It may ask for a hook whose token
 * is a number, for metadata that cannot be serialized, or for a sleep with an invalid date. SDK
 * 4.8.9 throws such an error out of its handler as if storage had failed, so the message would be
 * delivered again until the 48th attempt ends the run, only for the number of attempts. Here the
 * first attempt ends the run, or the step, with the reason.
 */
import type { EventRequest } from '../../index';
import type { Engine } from '../engine/engine';
import type { QueueHandler } from '../engine/handlers';
import {
  EntityConflictError,
  RunExpiredError,
  RunNotSupportedError,
  WorkflowRunNotFoundError,
  WorkflowRuntimeError,
  WorkflowWorldError,
} from '../native/errors';
import { SPEC_VERSION } from '../sdk/spec-version';
import { createEvent } from './storage';

const STEP_QUEUE = /^__(?:[a-z][a-z0-9]*_)?wkf_step_/;

/**
 * Calls a handler. An error that will never pass ends the run, or the step; then the message is
 * done, and nothing is thrown. If there is no run or step to end, the error is thrown.
 */
export async function handOver(
  engine: Engine,
  handler: QueueHandler,
  message: unknown,
  meta: Parameters<QueueHandler>[1],
): Promise<unknown> {
  try {
    return await handler(message, meta);
  } catch (error) {
    if (!isRefusedForEver(error, meta.queueName)) throw error;
    await endWith(engine, error as Error, message, meta.queueName);
    return undefined;
  }
}

/** Whether the next delivery of the message would end with the same error. */
export function isRefusedForEver(error: unknown, queueName: string): boolean {
  // No World can store the value.
  if (WorkflowWorldError.is(error) && error.code === 'INVALID') return true;
  // The error comes from a replay, whose hook metadata cannot be serialized. Where the runtime
  // catches such an error, it also takes it as final. A step is different: it may return another
  // value the next time, and the runtime counts its attempts.
  return WorkflowRuntimeError.is(error) && !STEP_QUEUE.test(queueName);
}

/**
 * Whether a handler failed because this process lacks something. Another process, or this one with
 * a better configuration, will succeed, so the attempt must not count.
 */
export function isOfThisProcess(error: unknown): boolean {
  // The run is of a newer SDK, which another process may have.
  if (RunNotSupportedError.is(error)) return true;
  const { code } = (error ?? {}) as { code?: unknown };
  return code === 'ENCRYPTION_KEY_MISSING' || code === 'ENCRYPTION_KEY_WRONG';
}

/**
 * The seconds after which a handler wants its message again; `undefined` when the message is done.
 */
export function timeoutOf(result: unknown): number | undefined {
  const seconds = (result as { timeoutSeconds?: unknown } | null | undefined)?.timeoutSeconds;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) return undefined;
  return Math.max(0, seconds);
}

async function endWith(
  engine: Engine,
  error: Error,
  message: unknown,
  queueName: string,
): Promise<void> {
  const end = endOf(error, message, queueName);
  if (!end) throw error;
  try {
    await createEvent(engine)(end.runId, end.event, { resolveData: 'none' });
  } catch (cause) {
    // Another delivery has ended it meanwhile.
    if (EntityConflictError.is(cause) || RunExpiredError.is(cause)) return;
    // Any other error may pass, so the next delivery writes the end. If the lease is lost, its new
    // owner writes the end.
    throw hasNothingToEnd(cause) ? error : cause;
  }
  const where = end.event.correlationId ? `step ${end.event.correlationId} of run` : 'run';
  console.error(`[hookline] The ${where} ${end.runId} has failed: ${reasonOf(error)}`);
}

/** Whether the end was not written because the run or step does not exist, or cannot exist. */
function hasNothingToEnd(cause: unknown): boolean {
  if (WorkflowRunNotFoundError.is(cause)) return true;
  if (!WorkflowWorldError.is(cause)) return false;
  return cause.code === 'NOT_FOUND' || cause.code === 'INVALID';
}

/** The event that ends the run or the step of a message, as the runtime itself writes it. */
function endOf(
  error: Error,
  body: unknown,
  queueName: string,
): { runId: string; event: EventRequest } | undefined {
  // Workflow code may have made the error itself, with any stack.
  const stack = typeof error.stack === 'string' ? error.stack : undefined;
  const message = reasonOf(error);
  const { runId, workflowRunId, stepId } = (body ?? {}) as Record<string, unknown>;
  if (STEP_QUEUE.test(queueName)) {
    if (typeof workflowRunId !== 'string' || typeof stepId !== 'string') return undefined;
    const eventData = { stepName: queueName.replace(STEP_QUEUE, ''), error: message, stack };
    return { runId: workflowRunId, event: eventOf('step_failed', eventData, stepId) };
  }
  if (typeof runId !== 'string') return undefined;
  const eventData = { error: { message, stack }, errorCode: 'USER_ERROR' };
  return { runId, event: eventOf('run_failed', eventData) };
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
