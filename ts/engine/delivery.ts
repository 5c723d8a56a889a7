/**
 * In which delivery code runs, and which deliveries are at work.
 *
 * A process that was paused goes on with a delivery whose lease is gone, and knows nothing of it. So
 * what a handler writes for its run names the lease, and the store refuses it when that is lost
 * (`src/domain/fence.rs`). All of this is on `globalThis`, because a bundler may evaluate this module
 * several times.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Fence } from '../native/requests';
import type { Engine } from './engine';

/** A delivery of a database. A later lease of the same message may be given to it while it works. */
export interface Delivery extends Fence {
  /** Of the engine. */
  key: string;
}

/** What a handler came to. */
export interface HandlerOutcome {
  result?: unknown;
  /** Never `undefined` when it has failed. */
  error?: unknown;
}

/** Where code stands that runs in a delivery. */
interface Place {
  delivery: Delivery;
  /** The run that it replays, or whose step it executes. */
  runId: unknown;
  /** The handler has returned: what its code goes on with is not the delivery's any more. */
  returned: boolean;
}

interface State {
  place: AsyncLocalStorage<Place>;
  atWork: Set<{ delivery: Delivery; outcome: Promise<HandlerOutcome> }>;
}

const STATE = Symbol.for('hookline//deliveries');

/** Made at the first use: an import changes nothing. */
function state(): State {
  const globals = globalThis as { [STATE]?: State };
  globals[STATE] ??= { place: new AsyncLocalStorage(), atWork: new Set() };
  return globals[STATE];
}

/** The run that a message is about: a replay names it otherwise than a step. */
export function runOf(message: unknown): unknown {
  const { runId, workflowRunId } = (message ?? {}) as { runId?: unknown; workflowRunId?: unknown };
  return runId ?? workflowRunId;
}

/**
 * Runs the handler of a message in this delivery. When it throws, it may have left writes behind that
 * it no longer awaits: those are still the delivery's.
 */
export async function inDelivery<T>(
  delivery: Delivery,
  message: unknown,
  handler: () => Promise<T>,
): Promise<T> {
  const here = { delivery, runId: runOf(message), returned: false };
  const result = await state().place.run(here, handler);
  here.returned = true;
  return result;
}

/** The lease that a write for this run needs; none outside of the run's own deliveries. */
export function fenceOf(engine: Engine, runId: unknown): Fence | undefined {
  const here = state().place.getStore();
  if (!here || here.returned || runId === undefined || runId !== here.runId) return undefined;
  const { key, messageId, leaseToken } = here.delivery;
  return engine.key() === key ? { messageId, leaseToken } : undefined;
}

/** Does the work of a delivery; others may come to wait for its outcome. Never rejects. */
export async function atWork(
  delivery: Delivery,
  work: () => Promise<unknown>,
): Promise<HandlerOutcome> {
  const outcome = work().then(
    (result) => ({ result }),
    (error) => ({ error: error ?? new Error(`The handler threw ${error}.`) }),
  );
  const entry = { delivery, outcome };
  const { atWork: working } = state();
  working.add(entry);
  try {
    return await outcome;
  } finally {
    working.delete(entry);
  }
}

/**
 * What the handler comes to that is at work for this message already; it goes on under the new lease.
 * `undefined` when there is none here.
 */
export function outcomeUnder(
  engine: Engine,
  messageId: string,
  leaseToken: string,
): Promise<HandlerOutcome> | undefined {
  const key = engine.key();
  for (const { delivery, outcome } of state().atWork) {
    if (delivery.key !== key || delivery.messageId !== messageId) continue;
    delivery.leaseToken = leaseToken;
    return outcome;
  }
  return undefined;
}
