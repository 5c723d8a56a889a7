/** The workers of a database that live on this host, and what they say stands in their way. */
import type { World } from '../../index';
import type { Engine } from '../engine/engine';
import { describeFault, type NativeWorkerFault } from '../engine/worker-faults';
import { settled } from '../native/binding';
import { engineOf } from '../world/world';

/** A process that has called `world.start()` and lives; what it says may be missing. */
export interface LivingWorker {
  pid?: number;
  faults?: NativeWorkerFault[];
}

/** Looks for them. */
export async function livingWorkers(world: World): Promise<LivingWorker[]> {
  const native = await (engineOf(world) as Engine).connect();
  return (await settled<LivingWorker[]>(native.workers())).json;
}

/** What stands in the way of a worker, one line each. */
export function troublesOf({ pid, faults = [] }: LivingWorker): string[] {
  return faults.map((fault) => `the worker of process ${pid ?? '?'} ${describeFault(fault)}`);
}
