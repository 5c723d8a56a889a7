/**
 * Warns a process that expects deliveries which nobody makes. A look costs some reads, and only a
 * process that has just caused a message, or that waits, takes one. Its timer keeps no process
 * alive.
 */
// Node's own, because a test may replace the global one, and that of a simulated browser differs.
import { setTimeout } from 'node:timers';
import type { Engine } from '../engine/engine';
import { inNobodysContext } from '../engine/nobody';
import { sayOnce } from '../engine/say-once';
import { type NativeWorkerFault, warningOf } from '../engine/worker-faults';
import { type Stall, sentenceOf } from './pulse';
import { readDeliveries } from './workers';

/** When a process looks for the first time, and again while messages are due. */
const LOOK_AFTER_MS = 10_000;
/** How often it looks while it waits, and nothing is due. */
const LOOK_RARELY_MS = 60_000;

interface Vigil {
  waiting: number;
  isSet: boolean;
}

const vigils = new WeakMap<Engine, Vigil>();

/** This process has caused a message, and expects that somebody delivers it. Never throws. */
export function expectDelivery(engine: Engine): void {
  const vigil = vigilOf(engine);
  if (!vigil.isSet) setLook(engine, vigil, LOOK_AFTER_MS);
}

/** Keeps looking while something is awaited that only a delivery can bring. */
export async function whileExpecting<T>(engine: Engine, awaited: Promise<T>): Promise<T> {
  const vigil = vigilOf(engine);
  vigil.waiting += 1;
  expectDelivery(engine);
  try {
    return await awaited;
  } finally {
    vigil.waiting -= 1;
  }
}

/**
 * Warns of the first fault of a kind of this process's own worker. That the app is silent is told
 * as everybody tells it.
 */
export function warnOfFault(engine: Engine, fault: string): void {
  const native = JSON.parse(fault) as NativeWorkerFault;
  if (native.duty === 'reachApp') return void lookNow(engine);
  process.emitWarning(warningOf(native), {
    type: 'HooklineWarning',
    code: `HOOKLINE_${native.code}`,
  });
}

function vigilOf(engine: Engine): Vigil {
  let vigil = vigils.get(engine);
  if (!vigil) {
    vigil = { waiting: 0, isSet: false };
    vigils.set(engine, vigil);
  }
  return vigil;
}

function setLook(engine: Engine, vigil: Vigil, afterMs: number): void {
  vigil.isSet = true;
  // A World that was dropped without `close()` must not live on by its timer.
  const reference = new WeakRef(engine);
  const look = async () => {
    const alive = reference.deref();
    if (!alive) return;
    vigil.isSet = false;
    const nextMs = await lookNow(alive);
    if (vigil.isSet) return;
    if (nextMs !== undefined) setLook(alive, vigil, nextMs);
    else if (vigil.waiting > 0) setLook(alive, vigil, LOOK_RARELY_MS);
  };
  try {
    // The time of a test is not the time of its messages.
    if (engine.config().forTests !== undefined) return;
    inNobodysContext(() => setTimeout(look, afterMs).unref());
  } catch {
    // Bad options, or no addon: the operation that is expected to succeed reports it.
    vigil.isSet = false;
  }
}

/** Looks, and warns. Returns when to look again because something is due. */
async function lookNow(engine: Engine): Promise<number | undefined> {
  try {
    const { stall, stats } = await readDeliveries(engine);
    const isOverdue =
      stats.messages.due === 0 || (stats.oldestDueMessageMs ?? 0) >= LOOK_AFTER_MS / 2;
    if (stall && isOverdue) {
      warnOf(engine, stall);
      return undefined;
    }
    return stats.messages.due > 0 ? LOOK_AFTER_MS : undefined;
  } catch {
    // The World is closed, or cannot be read, which its own operations report.
    return undefined;
  }
}

function warnOf(engine: Engine, stall: Stall): void {
  // The worker of this process has warned of its own fault.
  if (stall.cause === 'fault' && stall.pid === process.pid) return;
  // Other messages are delivered beside those that are held or parked.
  const isPartial = stall.cause === 'held' || stall.cause === 'parked';
  const opening = isPartial ? '' : 'Nothing is delivered: ';
  const message = `${opening}${sentenceOf(stall)}.`;
  sayOnce('HOOKLINE_STALLED', message, `${engine.key()} ${stall.cause}`);
}
