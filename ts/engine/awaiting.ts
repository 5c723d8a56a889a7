/** Waits for the end of a run, or for a hook; the commit wakes the wait, without polling. */
import type { Hook, WorkflowRun } from '../../index';
import { type Answer, type NativeReply, type NativeWorld, settled } from '../native/binding';
import { invalid } from '../native/errors';
import { type NativeRecord, toHook, toRun } from '../native/records';
import type { Engine } from './engine';
import { after } from './timer';

/** How long to wait. */
export interface Patience {
  /** Milliseconds. Default: no limit. */
  timeout?: number;
  /** Ends the wait early. */
  signal?: AbortSignal;
}

/**
 * Resolves with the run when it has ended; `undefined` when patience ran out first.
 *
 * @throws WorkflowRunNotFoundError, WorkflowWorldError (`CLOSED` when the World closes meanwhile).
 */
export async function runEnd(
  engine: Engine,
  runId: string,
  patience: Patience = {},
): Promise<WorkflowRun | undefined> {
  const begin = (native: NativeWorld, waiter: number) => native.awaitRunEnd(waiter, runId);
  const native = await engine.look();
  const { json, bytes } = await untilSettled<{ run: NativeRecord }>(native, begin, patience);
  return json && toRun(json.run, bytes);
}

/**
 * Resolves with the live hook with this token, now or later, even if there is no database yet;
 * `undefined` when patience ran out first.
 */
export async function hookWithToken(
  engine: Engine,
  token: string,
  patience: Patience = {},
): Promise<Hook | undefined> {
  const begin = (native: NativeWorld, waiter: number) => native.awaitHook(waiter, token);
  const there = await untilThere(engine, patience);
  if (!there) return undefined;
  const { native, left } = there;
  const { json, bytes } = await untilSettled<{ hook: NativeRecord }>(native, begin, left);
  return json && toHook(json.hook, bytes);
}

/** Checks a time limit. */
export function checkTimeout(timeout: unknown, name = 'timeout'): void {
  if (timeout === undefined || (typeof timeout === 'number' && timeout >= 0)) return;
  throw invalid(`${name} must be a number of milliseconds, zero or more.`);
}

/** Waits for a database; returns the opened addon and the remaining patience. */
async function untilThere(
  engine: Engine,
  { timeout, signal }: Patience,
): Promise<{ native: NativeWorld; left: Patience } | undefined> {
  checkTimeout(timeout);
  signal?.throwIfAborted();
  if (!engine.isAbsent()) return { native: await engine.connect(), left: { timeout, signal } };
  const since = performance.now();
  const over = new AbortController();
  const end = () => over.abort();
  const cancel = timeout === undefined ? undefined : after(timeout, end);
  signal?.addEventListener('abort', end, { once: true });
  try {
    const native = await engine.appearance(over.signal);
    signal?.throwIfAborted();
    const left = timeout && Math.max(0, timeout - (performance.now() - since));
    return native && { native, left: { timeout: left, signal } };
  } finally {
    cancel?.();
    signal?.removeEventListener('abort', end);
  }
}

async function untilSettled<T>(
  native: NativeWorld,
  begin: (native: NativeWorld, waiter: number) => Promise<NativeReply>,
  { timeout, signal }: Patience,
): Promise<Answer<T | undefined>> {
  checkTimeout(timeout);
  signal?.throwIfAborted();
  // The addon names the waiter, because a process may hold several copies of this module.
  const waiter = native.freshWaiter();
  const reply = begin(native, waiter);
  const stop = () => native.stopAwaiting(waiter);
  const cancel = timeout === undefined ? undefined : after(timeout, stop);
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  try {
    const answer = await settled<T | undefined>(reply);
    if (answer.json === undefined) signal?.throwIfAborted();
    return answer;
  } finally {
    cancel?.();
    signal?.removeEventListener('abort', stop);
  }
}
