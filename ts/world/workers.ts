/** The living workers of a database on this host, and the faults that they report. */
import type { WorldStats } from '../../index';
import type { Engine } from '../engine/engine';
import { describeFault, type NativeWorkerFault } from '../engine/worker-faults';
import { settled } from '../native/binding';

/** A living process that has called `world.start()`; its report may be missing. */
export interface LivingWorker {
  pid?: number;
  faults?: NativeWorkerFault[];
}

/** Lists the living workers. */
export async function livingWorkers(engine: Engine): Promise<LivingWorker[]> {
  const native = await engine.look();
  return (await settled<LivingWorker[]>(native.workers())).json;
}

/** The faults of a worker, one line each. */
export function troublesOf({ pid, faults = [] }: LivingWorker): string[] {
  return faults.map((fault) => `the worker of process ${pid ?? '?'} ${describeFault(fault)}`);
}

/** Due messages younger than this, in milliseconds, may just not have been claimed yet. */
const LATE_MS = 1000;

/**
 * Why messages that are due are not delivered, for people; `undefined` if none is late, or if nothing
 * is known to be wrong.
 */
export async function whyNothingIsDelivered(engine: Engine): Promise<string | undefined> {
  const native = await engine.look();
  type Found = Pick<WorldStats, 'messages' | 'oldestDueMessageMs'>;
  const { messages, oldestDueMessageMs } = (await settled<Found>(native.stats())).json;
  if (messages.due === 0 || (oldestDueMessageMs ?? 0) < LATE_MS) return undefined;
  const are = messages.due === 1 ? '1 message is due' : `${messages.due} messages are due`;
  const living = await livingWorkers(engine);
  if (living.length === 0) {
    return `${are}, and no worker is alive on this host: call getWorld().start() where the app starts`;
  }
  const [trouble] = living.flatMap(troublesOf);
  return trouble && `${are}, but ${trouble}`;
}
