/** The living workers of a database on this host, and the faults that they report. */
import type { World } from '../../index';
import type { Engine } from '../engine/engine';
import { describeFault, type NativeWorkerFault } from '../engine/worker-faults';
import { settled } from '../native/binding';
import { engineOf } from '../world/world';

/** A living process that has called `world.start()`; its report may be missing. */
export interface LivingWorker {
  pid?: number;
  faults?: NativeWorkerFault[];
}

/** Lists the living workers. */
export async function livingWorkers(world: World): Promise<LivingWorker[]> {
  const native = await (engineOf(world) as Engine).connect();
  return (await settled<LivingWorker[]>(native.workers())).json;
}

/** The faults of a worker, one line each. */
export function troublesOf({ pid, faults = [] }: LivingWorker): string[] {
  return faults.map((fault) => `the worker of process ${pid ?? '?'} ${describeFault(fault)}`);
}
