/**
 * Calls a handler, and decides what its outcome means. After an error that will never pass, the
 * first attempt ends the run, or the step, with the reason; what the SDK would do then is in the
 * folder of its line.
 */
import type { Engine } from '../engine/engine';
import type { QueueHandler } from '../engine/handlers';
import type { End } from '../lines/line';
import {
  EntityConflictError,
  RunExpiredError,
  RunNotSupportedError,
  WorkflowRunNotFoundError,
  WorkflowWorldError,
} from '../native/errors';
import { presentLine } from '../setup/installed-sdk';
import { createEvent } from './append';
import { runKey } from './keys';
import { noteAdoption } from './releases';

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
    await noteAdoption(engine, message);
    return await handler(message, meta);
  } catch (error) {
    if (!isFinal(error, message, meta.queueName)) throw error;
    await endWith(engine, error as Error, message, meta.queueName);
    return undefined;
  }
}

/** Whether the next delivery of the message would end with the same error. */
function isFinal(error: unknown, message: unknown, queueName: string): boolean {
  // No World can store the value.
  if (WorkflowWorldError.is(error) && error.code === 'INVALID') return true;
  return presentLine().delivery.isFinal(error, message, queueName);
}

const REFUSED = new WeakSet<object>();

function refused(error: Error): Error {
  REFUSED.add(error);
  return error;
}

/** Whether a handler has failed for ever, and there is no run or step to end. */
export function isRefusedForEver(error: unknown): boolean {
  return typeof error === 'object' && error !== null && REFUSED.has(error);
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
  const line = presentLine();
  const keyOf = (runId: string) => runKey(engine, runId, line);
  const end = await line.delivery.endOf(error, message, queueName, keyOf);
  if (!end) throw refused(error);
  try {
    await createEvent(engine)(end.runId, end.event, { resolveData: 'none' });
  } catch (cause) {
    // Another delivery has ended it meanwhile.
    if (EntityConflictError.is(cause) || RunExpiredError.is(cause)) return;
    // Any other error may pass, so the next delivery writes the end. If the lease is lost, its new
    // owner writes the end.
    throw hasNothingToEnd(cause) ? refused(error) : cause;
  }
  console.error(`[hookline] ${said(end)}`);
}

function said({ runId, event: { correlationId }, reason }: End): string {
  const where = correlationId ? `step ${correlationId} of run` : 'run';
  return `The ${where} ${runId} has failed: ${reason}`;
}

/** Whether the end was not written because the run or step does not exist, or cannot exist. */
function hasNothingToEnd(cause: unknown): boolean {
  if (WorkflowRunNotFoundError.is(cause)) return true;
  if (!WorkflowWorldError.is(cause)) return false;
  return cause.code === 'NOT_FOUND' || cause.code === 'INVALID';
}
