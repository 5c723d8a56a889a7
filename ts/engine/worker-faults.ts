/** The faults of a worker: for programs, for people, and as a warning. */
import type { WorkerFault } from '../../index';

/**
 * A fault as the addon reports it, and as a worker writes it into its lock file for other
 * processes.
 */
export interface NativeWorkerFault extends Omit<WorkerFault, 'firstAt' | 'lastAt'> {
  firstAtMs: number;
  lastAtMs: number;
}

/** Turns a fault into its form for programs. */
export function toWorkerFault(fault: NativeWorkerFault): WorkerFault {
  const { firstAtMs, lastAtMs, ...rest } = fault;
  return { ...rest, firstAt: new Date(firstAtMs), lastAt: new Date(lastAtMs) };
}

const DUTIES: Record<WorkerFault['duty'], string> = {
  claim: 'claim messages',
  deliver: 'hand a message over',
  settle: 'write how a delivery ended',
  extend: 'extend the leases of its deliveries',
  freeLeases: 'free the leases of processes that have ended',
  search: 'search for forgotten runs',
  reachApp: 'reach the app',
  dispatch: 'keep its dispatcher running',
};

/** Describes a fault for people: what the worker cannot do, and why. */
export function describeFault({ duty, code, message }: NativeWorkerFault): string {
  // A worker of another version may have other duties.
  return `cannot ${DUTIES[duty] ?? duty}: ${message} [${code}]`;
}

/** The warning of the first fault of a kind. */
export function warningOf(fault: NativeWorkerFault): string {
  return `A worker of hookline ${describeFault(fault)}; it keeps trying, and world.stats() shows whether it succeeds.`;
}
