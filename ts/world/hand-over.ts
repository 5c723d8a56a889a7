/**
 * What becomes of a delivery that was refused for ever.
 *
 * Workflow code decides what its replay asks for, and it asks for the same every time: for a hook whose
 * token is a number, with metadata that cannot be serialized, for a sleep until no date. SDK 4.8.9 lets
 * such an error out of its handler as if storage had failed, so the message would be delivered until the
 * 48th attempt ends the run for having been delivered 48 times. Here the first one ends the run, or the
 * step, with the reason.
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
 * Calls a handler. What it was refused for ever ends its run, or its step, and is not thrown then: the
 * message is done. It is thrown when there is nothing to end.
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
  // What no World could store.
  if (WorkflowWorldError.is(error) && error.code === 'INVALID') return true;
  // Out of a replay: a hook's metadata cannot be serialized. The runtime takes such an error for final
  // too, where it catches it. What a step returns may be another value the next time, and the runtime
  // itself counts its attempts.
  return WorkflowRuntimeError.is(error) && !STEP_QUEUE.test(queueName);
}

/**
 * Whether a handler failed for what this process lacks, so that another one, or this one with a
 * better configuration, will succeed: such an attempt must not count towards those of the run.
 */
export function isOfThisProcess(error: unknown): boolean {
  // Of a newer SDK: another process may have the version that executes it.
  if (RunNotSupportedError.is(error)) return true;
  const { code } = (error ?? {}) as { code?: unknown };
  return code === 'ENCRYPTION_KEY_MISSING' || code === 'ENCRYPTION_KEY_WRONG';
}

/** The seconds after which a handler wants its message again; `undefined` when it is done with it. */
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
    // Somebody else has ended it meanwhile.
    if (EntityConflictError.is(cause) || RunExpiredError.is(cause)) return;
    // Whatever else kept the end from being written will not the next time; and a lease that is lost
    // is somebody else's, who ends it.
    throw hasNothingToEnd(cause) ? error : cause;
  }
  const where = end.event.correlationId ? `step ${end.event.correlationId} of run` : 'run';
  console.error(`[hookline] The ${where} ${end.runId} has failed: ${reasonOf(error)}`);
}

/** Whether the end was not written because what it would end does not exist, or cannot. */
function hasNothingToEnd(cause: unknown): boolean {
  if (WorkflowRunNotFoundError.is(cause)) return true;
  if (!WorkflowWorldError.is(cause)) return false;
  return cause.code === 'NOT_FOUND' || cause.code === 'INVALID';
}

/** The event that ends what a message is about, as the runtime itself writes it. */
function endOf(
  error: Error,
  body: unknown,
  queueName: string,
): { runId: string; event: EventRequest } | undefined {
  // Workflow code may have thrown it, and made it itself.
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

/** What was wrong; the SDK calls the metadata of a hook the arguments of a step. */
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
