/**
 * Knows in which delivery code runs, and which deliveries are at work.
 *
 * A process that was paused may continue a delivery whose lease is gone, without knowing it. So
 * each write of a handler for its run names the lease, and the store refuses the write when the
 * lease is lost (`src/domain/fence.rs`). The state is on `globalThis`, because a bundler may
 * evaluate this module several times.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Fence } from '../native/requests';
import type { Engine } from './engine';

/** A delivery of a database. While it works, it may get a later lease of the same message. */
export interface Delivery extends Fence {
  /** The key of the engine. */
  key: string;
}

/** The outcome of a handler. */
export interface HandlerOutcome {
  result?: unknown;
  /** Never `undefined` when the handler has failed. */
  error?: unknown;
}

/** The code that runs a delivery. */
export interface LoadedCode {
  /** When this process loaded it. */
  loadedAtMs: number;
  /** Whether it lacks the step of the delivery. */
  lacksStep: boolean;
}

/** The delivery in which code runs. */
interface Place {
  delivery: Delivery;
  code: LoadedCode;
  /** The run that the delivery replays, or whose step it executes. */
  runId: unknown;
  /** The arguments of a run that the message starts. */
  input: unknown;
  /** This release, if another one has started that run and this one has adopted it. */
  adoptedBy?: string;
  /**
   * Whether the handler has returned. Code that it left running no longer belongs to the delivery.
   */
  returned: boolean;
}

interface State {
  place: AsyncLocalStorage<Place>;
  atWork: Set<{ delivery: Delivery; outcome: Promise<HandlerOutcome> }>;
}

const STATE = Symbol.for('hookline//deliveries');

/** Made at the first use, because an import must change nothing. */
function state(): State {
  const globals = globalThis as { [STATE]?: State };
  globals[STATE] ??= { place: new AsyncLocalStorage(), atWork: new Set() };
  return globals[STATE];
}

/** The run that a message is about. A replay and a step have different fields for it. */
export function runOf(message: unknown): unknown {
  const { runId, workflowRunId } = (message ?? {}) as { runId?: unknown; workflowRunId?: unknown };
  return runId ?? workflowRunId;
}

/**
 * Runs the handler of a message in this delivery. A handler that throws may have left writes
 * running that it no longer awaits; those still belong to the delivery.
 */
export async function inDelivery<T>(
  delivery: Delivery,
  code: LoadedCode,
  message: unknown,
  handler: () => Promise<T>,
): Promise<T> {
  const { input } = (message as { runInput?: { input?: unknown } } | null)?.runInput ?? {};
  const here = { delivery, code, runId: runOf(message), input, returned: false };
  const result = await state().place.run(here, handler);
  here.returned = true;
  return result;
}

/**
 * The lease that a write for this run must name; `undefined` outside of the run's own deliveries.
 */
export function fenceOf(engine: Engine, runId: unknown): Fence | undefined {
  const here = placeOf(engine, runId);
  if (!here) return undefined;
  const { messageId, leaseToken } = here.delivery;
  return { messageId, leaseToken, adoptedBy: here.adoptedBy };
}

/** Notes that this release has adopted the run of the delivery in which this is called. */
export function deliversAdopted(release: string): void {
  const here = state().place.getStore();
  if (here) here.adoptedBy = release;
}

/** Whether this is called in a delivery of an adopted run. */
export function isInDeliveryOfAdopted(): boolean {
  const here = state().place.getStore();
  return here?.adoptedBy !== undefined && !here.returned;
}

/** The code that delivers a message of this run; `undefined` outside of its own deliveries. */
export function codeOf(engine: Engine, runId: unknown): LoadedCode | undefined {
  return placeOf(engine, runId)?.code;
}

/** The arguments of this run, if the delivery in which this is called brings them. */
export function argumentsOf(engine: Engine, runId: string): Uint8Array | undefined {
  const input = placeOf(engine, runId)?.input;
  return input instanceof Uint8Array ? input : undefined;
}

function placeOf(engine: Engine, runId: unknown): Place | undefined {
  const here = state().place.getStore();
  if (!here || here.returned || runId === undefined || runId !== here.runId) return undefined;
  return engine.key() === here.delivery.key ? here : undefined;
}

/**
 * Does the work of a delivery; a repeated delivery may join and wait for its outcome. Never
 * rejects.
 */
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
 * The outcome of the handler that already works on this message; the handler continues under the
 * new lease. `undefined` when no handler of this process works on it.
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
