/**
 * Is anything delivering? This file alone decides it, from what the queue holds and what the living
 * workers say, and this file alone words it.
 */
import { hostname } from 'node:os';
import { duration } from '../engine/duration';
import { describeFault, type NativeWorkerFault } from '../engine/worker-faults';
import { needOf } from './releases';

/** Why the app takes no deliveries; `src/queue/silence.rs` makes it. */
export interface Silence {
  kind:
    | 'answer'
    | 'notKept'
    | 'untrusted'
    | 'late'
    | 'unreached'
    | 'noAddress'
    | 'noServer'
    | 'own';
  found: string;
  sinceMs: number;
}

/**
 * A living process that delivers, by what it says of itself. Its report may be missing, and another version
 * may have written it.
 */
export interface LivingWorker {
  /** The name of its host. */
  host?: string;
  pid?: number;
  /** Faults that are not past. */
  faults?: NativeWorkerFault[];
  /** Where the app answered last, and why it does not answer now. */
  app?: { at: string | null; silence: Silence | null };
  /** The last delivery, if no handler took it, and how many there were in succession. */
  refusal?: { error: string; times: number; lastAtMs: number } | null;
  /** The prefixes of queues for which it has no handler, and whose app it may not ask. */
  lacks?: string[];
  /** The spec versions of the runs that it continues, and its release. */
  specVersions?: [oldest: number, newest: number];
  release?: string | null;
  /** Whether the system has stopped it; `undefined` if that is unknown. */
  isPaused?: boolean;
}

/** Due messages that no living process offers to take; `src/binding/replies.rs` makes it. */
export interface Parked {
  deploymentId: string;
  specVersion: number;
  count: number;
  oldestDueMs: number;
}

/** The facts by which to decide. */
export interface DeliveryFacts {
  nowMs: number;
  /** Messages that are due and not taken, that are taken, and that are due later. */
  due: number;
  leased: number;
  sleeping: number;
  /** Messages that wait for a worker with other code. */
  held: number;
  /** Messages that wait for a process of another release or line of the SDK. */
  parked: Parked[];
  /** For how long the oldest due message has been due; `null` when none is. */
  oldestDueMs: number | null;
  workers: LivingWorker[];
}

/** Why messages wait that should be delivered. */
export interface Stall {
  cause:
    | 'noWorker'
    | 'paused'
    | 'fault'
    | 'app'
    | 'noHandler'
    | 'refused'
    | 'idle'
    | 'parked'
    | 'held';
  found: string;
  /** What to do, unless `found` says it. */
  fix?: string;
  /** The worker that it is about. */
  pid?: number;
}

/** A message that has been due for less may just not have been taken yet. */
const LATE_MS = 1000;
/** A worker without a fault takes a message earlier, unless it is busy. */
const IDLE_MS = 5000;
/** A refusal that is older may be about a message which another process has taken since. */
const REFUSED_LATELY_MS = 60_000;

/**
 * Why messages wait that should be delivered; `undefined` while they are delivered, as far as is
 * known.
 */
export function stallOf(facts: DeliveryFacts): Stall | undefined {
  const { due, leased, sleeping, oldestDueMs, workers } = facts;
  const isLate = due > 0 && (oldestDueMs ?? 0) >= LATE_MS;
  const isAbandoned = isLate || leased > 0;
  if (workers.length === 0) return isAbandoned ? noWorker(facts) : held(facts);
  const awake = workers.filter((worker) => !worker.isPaused);
  if (awake.length === 0) return isAbandoned ? paused(facts) : held(facts);
  const isIdle = leased === 0 && (oldestDueMs ?? 0) >= IDLE_MS;
  if (isLate) {
    const complaints = awake.map((worker) => complaintOf(worker, facts));
    const [complaint] = complaints.filter((it) => it !== undefined);
    // A worker without a complaint is busy with other messages, or takes none of these.
    if (complaint && (isIdle || !complaints.includes(undefined))) return complaint;
    if (isIdle) return idle(awake, facts);
  }
  // A refused message sleeps, is due for a moment, and is refused again.
  const refusal =
    due + leased + sleeping > 0 && awake.map((worker) => refused(worker, facts)).find((it) => it);
  return refusal || parked(facts) || held(facts);
}

/** What names the process of a worker. */
interface Named {
  pid?: number | null;
  host?: string | null;
}

/** The number of a worker's process, with its host unless that is this one. */
export function processOf({ pid, host }: Named): number | string {
  const name = pid ?? '?';
  return isHere(host) ? name : `${name} on ${host}`;
}

/** Whether a worker is on this host; an older version does not say where it is. */
export function isHere(host: string | null | undefined): boolean {
  return host == null || host.toLowerCase() === hostname().toLowerCase();
}

/** The sentence that everybody says of a stall. */
export function sentenceOf({ found, fix }: Stall): string {
  return fix ? `${found}: ${fix}` : found;
}

function noWorker(facts: DeliveryFacts): Stall {
  return {
    cause: 'noWorker',
    found: `${waiting(facts)}, and no process delivers from this database`,
    fix: 'start the app; it delivers once it has called startDelivery(), or register() of hookline/next, in the role all or worker',
  };
}

function paused(facts: DeliveryFacts): Stall {
  const pids = facts.workers.map(({ pid }) => pid);
  return {
    cause: 'paused',
    found: `${waiting(facts)}, and ${named(facts.workers)} paused`,
    fix: `continue it with kill -CONT ${pids.join(' ')}, or end it`,
  };
}

/** A process that is being replaced may be back in a moment. */
function parked(facts: DeliveryFacts): Stall | undefined {
  const late = facts.parked.filter(({ oldestDueMs }) => oldestDueMs >= IDLE_MS);
  if (late.length === 0) return undefined;
  const found = late.map(({ deploymentId, specVersion, count }) => {
    const wait = count === 1 ? '1 message waits' : `${count} messages wait`;
    return `${wait} for ${needOf(deploymentId, specVersion)}`;
  });
  return {
    cause: 'parked',
    found: `${found.join(', ')}, of which no process lives`,
    fix: 'start such a process; hookline releases shows what needs it, hookline adopt and hookline cancel end the wait, and until then nothing is lost (docs/releases.md)',
  };
}

function held(facts: DeliveryFacts): Stall | undefined {
  if (facts.held === 0) return undefined;
  const are = facts.held === 1 ? '1 message is' : `${facts.held} messages are`;
  return {
    cause: 'held',
    found: `${are} held, because no living worker has the code that their runs need`,
    fix: 'hookline held lists them; put the code back and restart the app, or end the runs with hookline cancel (docs/releases.md)',
  };
}

function idle(workers: LivingWorker[], facts: DeliveryFacts): Stall {
  const it = facts.due === 1 ? 'it' : 'any of them';
  return {
    cause: 'idle',
    found: `${waiting(facts)}, and ${named(workers)} alive without taking ${it}`,
    fix: 'it may be paused or blocked, or serve other queues (WORKFLOW_QUEUE_NAMESPACE): restart it with the settings of the app',
    pid: workers[0]?.pid,
  };
}

/** What keeps a worker from taking messages that are due. */
function complaintOf(worker: LivingWorker, facts: DeliveryFacts): Stall | undefined {
  const of = `${waiting(facts)}, but the worker of process ${processOf(worker)}`;
  const { pid } = worker;
  const fault = worker.faults?.find(({ duty }) => duty !== 'reachApp');
  if (fault) return { cause: 'fault', found: `${of} ${describeFault(fault)}`, pid };
  const silence = worker.app?.silence;
  if (silence) {
    const found = `${of} cannot hand them to the app: ${silence.found}`;
    return { cause: 'app', found, fix: WAYS_TO_THE_APP[silence.kind], pid };
  }
  const lacks = worker.lacks?.map((prefix) => (prefix.includes('wkf_step_') ? 'steps' : 'replays'));
  if (lacks && lacks.length > 0) {
    const found = `${of} has no handler for ${lacks.join(' and ')}, and asks no other process (WORKFLOW_HOOKLINE_DELIVERY is direct)`;
    const fix = "load the modules of the SDK's routes in that process, or set it to auto";
    return { cause: 'noHandler', found, fix, pid };
  }
  return refused(worker, facts);
}

/** A worker whose last deliveries nobody took; such a message is due again and again. */
function refused(worker: LivingWorker, facts: DeliveryFacts): Stall | undefined {
  const { pid, refusal } = worker;
  if (!refusal || facts.nowMs - refusal.lastAtMs > REFUSED_LATELY_MS) return undefined;
  const found = `messages wait for another attempt, but the last delivery of process ${processOf(worker)} found no handler that takes it: ${refusal.error}`;
  return { cause: 'refused', found, pid };
}

const IN_FRONT =
  'let /.well-known/workflow/ through the proxy, middleware or login in front of the app, unchanged; if there is none, check WORKFLOW_HOOKLINE_BASE_URL, PORT, and the database and keys of the app';
const CHECK = 'start the app, or check WORKFLOW_HOOKLINE_BASE_URL and PORT';

/** What to do about an app that does not answer. */
const WAYS_TO_THE_APP: Record<Silence['kind'], string | undefined> = {
  answer: IN_FRONT,
  notKept: 'let the server, or the proxy in front of it, keep connections alive',
  untrusted: 'give Node the authority that has signed it (NODE_EXTRA_CA_CERTS)',
  late: `it may be busy, or compile the route at its first request; otherwise ${CHECK}`,
  unreached: CHECK,
  noAddress: 'check WORKFLOW_HOOKLINE_BASE_URL',
  noServer:
    'let the process that serves the app deliver, or set WORKFLOW_HOOKLINE_BASE_URL to the URL of the app',
  own: undefined,
};

function waiting({ due, leased, oldestDueMs }: DeliveryFacts): string {
  if (due > 0) {
    const since = duration(oldestDueMs ?? 0);
    return due === 1
      ? `1 message has been due for ${since}`
      : `${due} messages are due, the oldest for ${since}`;
  }
  return leased === 1 ? '1 delivery has not ended' : `${leased} deliveries have not ended`;
}

function named(workers: LivingWorker[]): string {
  const pids = workers.map(processOf);
  return pids.length === 1
    ? `the worker of process ${pids[0]} is`
    : `the workers of the processes ${pids.join(', ')} are`;
}
