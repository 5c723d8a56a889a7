/**
 * What a World tells operators: its queue, its processes, and what they fail at. `index.d.ts` exports
 * all of it; nothing needs to import this file.
 */

import type { Page, PageRequest } from './records.js';

/**
 * The state of the queue, for operators. The Workflow SDK itself does not use this. Each method rejects
 * with a `WorkflowWorldError` when the database cannot be used.
 */
export interface Inspection {
  /** Counts the messages and runs of the database, and the deliveries of this process. */
  stats(): Promise<WorldStats>;
  /**
   * Lists the messages that were given up after many failed deliveries, by default the oldest
   * first.
   */
  deadMessages(params?: PageRequest): Promise<Page<DeadMessage>>;
  /**
   * Lists the held messages, by default the oldest first: no living worker has the code that they
   * need. They are due again when a worker starts, or loads other code.
   */
  heldMessages(params?: PageRequest): Promise<Page<HeldMessage>>;
  /**
   * Puts a message that was given up, or is held, back into the queue: it is due now, and its
   * attempts count from the start.
   *
   * @returns The message that will be delivered. If another message with the same idempotency key
   *   was enqueued meanwhile, it is that message, and the dead message is deleted.
   * @throws WorkflowWorldError with code `NOT_FOUND` when there is no dead or held message with this id.
   */
  redrive(messageId: string): Promise<{ messageId: string }>;
}

/** The result of {@link Inspection.stats}. */
export interface WorldStats {
  /**
   * Messages of all processes: due now, due later, being delivered, given up, held; parked ones are
   * due, but no living process is of the release and the line of the SDK that they need. Counting ends
   * at 100,000, which means as many or more; so does the counting of runs.
   */
  messages: {
    due: number;
    sleeping: number;
    leased: number;
    dead: number;
    held: number;
    parked: number;
  };
  /** For how many milliseconds the oldest due message has been due; `null` when none is due. */
  oldestDueMessageMs: number | null;
  /** Runs that have not ended. */
  runs: { pending: number; running: number };
  /**
   * Deliveries of this process: how many are in flight, and how many leases have ended since its
   * start while their delivery was in flight. Another process may have repeated those deliveries.
   */
  deliveries: {
    inFlight: number;
    leasesLost: number;
    /**
     * The faults that kept deliveries from working, one entry for each kind, in the order of
     * `firstAt`.
     */
    faults: WorkerFault[];
  };
  /**
   * Why messages wait that should be delivered, by all that is known; `null` while
   * they are delivered. `hookline doctor` says the same sentence.
   */
  stalled: {
    /**
     * No living process delivers; all that do are paused; a worker has a fault; it cannot reach the
     * app; it has no handler; the app or its handlers refuse what it delivers; it takes nothing; no
     * worker is of the release or the line of the SDK that a run needs; no worker has the code that a
     * run needs.
     */
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
    /** The reason, and what to do. */
    message: string;
  } | null;
  /**
   * The write-ahead log: the bytes of its file and, if the log is long and the system reports them,
   * the processes that read from it. One of them may keep the log from starting again at its
   * beginning.
   */
  log: { bytes: number; readBy: number[] };
}

/**
 * A fault after which a worker keeps trying. The first fault of each kind is also a warning of the
 * process (`process.on('warning')`, with the name `HooklineWarning`).
 */
export interface WorkerFault {
  /**
   * The duty that failed: claiming messages, handing a message over, writing how its delivery
   * ended, extending leases, freeing the leases of processes that have ended, searching for
   * forgotten runs, reaching the app while messages wait for it, or keeping the dispatcher running
   * (it was started again).
   */
  duty:
    | 'claim'
    | 'deliver'
    | 'settle'
    | 'extend'
    | 'freeLeases'
    | 'search'
    | 'reachApp'
    | 'dispatch';
  /** A code, as in `WorkflowWorldError`. */
  code: string;
  /** The latest reason, and what to do. */
  message: string;
  /** How often it happened. */
  times: number;
  /** When it happened first. */
  firstAt: Date;
  /** When it happened last. */
  lastAt: Date;
  /** Whether the same duty has succeeded since. */
  isPast: boolean;
}

/** A message that was given up. */
export interface DeadMessage extends StoppedMessage {
  /** When it was given up. */
  deadAt: Date;
}

/** A message that waits for a worker with other code. */
export interface HeldMessage extends StoppedMessage {
  /** Since when it is held. */
  heldAt: Date;
}

/** A message that is not delivered. */
export interface StoppedMessage {
  /** Its id, which {@link Inspection.redrive} takes. */
  messageId: string;
  /** Its queue: `__wkf_workflow_` or `__wkf_step_`, and a name. */
  queueName: string;
  /** The run that the message was to replay; absent for the message of a step. */
  runId?: string;
  /** How often it was delivered. */
  attempt: number;
  /** The error of the latest delivery. */
  error?: string;
  /** When it was enqueued. */
  createdAt: Date;
}
