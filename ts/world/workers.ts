/** What is known of the deliveries of a database: its queue, and its living workers. */
import { readFileSync } from 'node:fs';
import type { WorldStats } from '../../index';
import type { Engine } from '../engine/engine';
import { describeFault, type NativeWorkerFault } from '../engine/worker-faults';
import { type NativeWorld, settled } from '../native/binding';
import {
  isHere,
  type LivingWorker,
  type Parked,
  processOf,
  type Stall,
  sentenceOf,
  stallOf,
} from './pulse';

/** Lists the living workers. */
export async function livingWorkers(native: NativeWorld): Promise<LivingWorker[]> {
  const workers = (await settled<LivingWorker[]>(native.workers())).json;
  return workers.map((worker) => ({ ...worker, isPaused: isPaused(worker) }));
}

/** The faults of a worker, one line each. */
export function troublesOf(worker: LivingWorker): string[] {
  const { faults = [] } = worker;
  return faults.map(
    (fault) => `the worker of process ${processOf(worker)} ${describeFault(fault)}`,
  );
}

/** The addon's `WorldStats`. */
export type NativeStats = Omit<WorldStats, 'deliveries' | 'stalled'> & {
  deliveries: Omit<WorldStats['deliveries'], 'faults'> & { faults: NativeWorkerFault[] };
  parked: Parked[];
};

/** The state of the deliveries. */
export interface Reading {
  stats: NativeStats;
  /** `undefined` when this user cannot look for them. */
  workers: LivingWorker[] | undefined;
  /** Why messages wait that should be delivered. */
  stall: Stall | undefined;
}

/** Reads the state of the deliveries. */
export async function readDeliveries(engine: Engine): Promise<Reading> {
  const native = await engine.look();
  const [stats, workers] = await Promise.all([
    settled<NativeStats>(native.stats()),
    livingWorkers(native).catch(() => undefined),
  ]);
  const { messages, parked, oldestDueMessageMs } = stats.json;
  const counted = { ...messages, parked, oldestDueMs: oldestDueMessageMs, nowMs: Date.now() };
  const stall = workers && stallOf({ ...counted, workers });
  return { stats: stats.json, workers, stall };
}

/** Why nothing is delivered, for people; `undefined` if nothing is known to be wrong. */
export async function whyNothingIsDelivered(engine: Engine): Promise<string | undefined> {
  const { stall } = await readDeliveries(engine);
  return stall && sentenceOf(stall);
}

/** Whether the system has stopped a process: by SIGSTOP, or by a debugger. Only Linux says it, of its own. */
function isPaused({ pid, host }: LivingWorker): boolean | undefined {
  if (pid === undefined || !isHere(host) || process.platform !== 'linux') return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program comes before, in brackets, and may hold anything.
    const [state = ''] = stat.slice(stat.lastIndexOf(')') + 2);
    return state === 'T' || state === 't';
  } catch {
    // The process is in another container, or has ended.
    return undefined;
  }
}
