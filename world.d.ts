/**
 * The World and what it stores: the types of `createWorld()`'s result, which the Workflow SDK calls.
 * `index.d.ts` exports them all; nothing needs to import this file.
 */
/**
 * Options of `createWorld()`. An option wins over its environment variable.
 * Values are judged when the database opens: a bad one, and an option that there is not, is the error
 * of the first operation and of `start()` (`WorkflowWorldError` with code `BAD_CONFIG`).
 */
export interface WorldOptions {
  /**
   * The database: a path, a `file:` URL or `:memory:`. Default `./.workflow-data/hookline.db`, from
   * the working directory. Variable: `WORKFLOW_HOOKLINE_URL`.
   */
  url?: string;
  /**
   * `'full'` (default): what was acknowledged survives a power cut. `'normal'`: it survives a crash
   * of the process only. Variable: `WORKFLOW_HOOKLINE_DURABILITY`.
   */
  durability?: 'full' | 'normal';
  /** Deliveries in flight at once in this process. Variable: `WORKFLOW_HOOKLINE_CONCURRENCY`. */
  concurrency?: number;
  /**
   * What this process does: read, write and deliver (`'all'`, default, or `'worker'`); read and write
   * (`'producer'`), and never deliver; or only read (`'reader'`). A reader opens the file for reading
   * only, and refuses every write with the code `READ_ONLY`.
   * Variable: `WORKFLOW_HOOKLINE_ROLE`.
   */
  role?: 'all' | 'producer' | 'worker' | 'reader';
  /**
   * How messages reach the handlers: called in this process (`'direct'`), by HTTP to the app's own
   * routes (`'http'`), or as fits the framework (`'auto'`, default).
   * Variable: `WORKFLOW_HOOKLINE_DELIVERY`.
   */
  delivery?: 'auto' | 'direct' | 'http';
  /**
   * The app's address for HTTP delivery. Default: `WORKFLOW_LOCAL_BASE_URL`, else
   * `http://localhost:$PORT`, else the port on which this process answers.
   * Variable: `WORKFLOW_HOOKLINE_BASE_URL`.
   */
  baseUrl?: string;
  /**
   * Where the file may lie: where only this host can reach it (`'local'`, default), or also on network
   * and FUSE file systems (`'any'`), for who knows that only one host ever opens it and that mmap works
   * there. Variable: `WORKFLOW_HOOKLINE_FILE_SYSTEM`.
   */
  fileSystem?: 'local' | 'any';
  /**
   * Encrypts what is stored: the key ring, entries `id:base64` with the newest first, each key 32
   * bytes. What is new is encrypted under the first; the others still read. Plain unless given.
   * Variable: `WORKFLOW_HOOKLINE_ENCRYPTION_KEYS`, with commas between the entries.
   */
  encryptionKeys?: string | readonly string[];
  /**
   * How hook tokens are stored: as they are (`'plain'`, default), or (`'sealed'`) as a keyed hash with
   * the token encrypted behind it, which needs `encryptionKeys`. Variable: `WORKFLOW_HOOKLINE_TOKENS`.
   */
  tokens?: 'plain' | 'sealed';
  /**
   * Whether spans hold the tokens of hooks, as those of the SDK do. Default false, because tokens are
   * secrets and traces are read by many. Variable: `WORKFLOW_HOOKLINE_TRACE_TOKENS`.
   */
  traceTokens?: boolean;
  /** Milliseconds that the SDK gathers stream chunks before it writes them. Default 0. No variable. */
  streamFlushIntervalMs?: number;
}

/** What the Workflow SDK 4.x asks of a backend; see `@workflow/world`. */
export interface World extends Storage, Queue, Streamer, Inspection, Upkeep {
  /** The spec version that new runs are stamped with. */
  specVersion: number;
  /**
   * The AES-256 key of a run, for the SDK; `undefined` when its values are plain.
   *
   * @throws WorkflowWorldError with code `ENCRYPTION_KEY_MISSING` when the key ring has not the key
   *   that the run was started with, `ENCRYPTION_KEY_WRONG` when it has another one under its id.
   */
  getEncryptionKeyForRun(run: WorkflowRun): Promise<Uint8Array | undefined>;
  getEncryptionKeyForRun(
    runId: string,
    context?: Record<string, unknown>,
  ): Promise<Uint8Array | undefined>;
  /**
   * Opens the database, and begins to deliver messages to this process's handlers, now or once the
   * app answers, which is not waited for.
   *
   * Rejects when this process can never claim a message, with the error of its first claim; a fault
   * that may pass, such as `BUSY`, does not reject. What fails later is told by `stats()`.
   *
   * From then on a SIGTERM or SIGINT that nobody else in the process listens for lets deliveries in
   * flight end before the process ends by it, for ten seconds at most; a second one ends it at once.
   */
  start(): Promise<void>;
  /** Lets deliveries in flight end, and closes; may be called twice, or before any use. */
  close(): Promise<void>;
}

/**
 * Runs, steps, events and hooks. A read makes no database: of one that is not there it answers as an
 * empty one does, and the first write makes it.
 */
export interface Storage {
  /** Workflow runs. Rejects with `WorkflowRunNotFoundError` for a run that does not exist. */
  runs: {
    get(runId: string, params: ReadOptions & { resolveData: 'none' }): Promise<RunWithoutData>;
    get(runId: string, params?: ReadOptions & { resolveData?: 'all' }): Promise<WorkflowRun>;
    get(runId: string, params?: ReadOptions): Promise<WorkflowRun | RunWithoutData>;
    /**
     * The run as soon as it has ended, by push; or as it is when `timeoutMs` is over. SDK 4.8.9 does
     * not call it.
     */
    waitForTerminalStatus(
      runId: string,
      params?: ReadOptions & { timeoutMs?: number },
    ): Promise<WorkflowRun | RunWithoutData>;
    list(params: ListRunsOptions & { resolveData: 'none' }): Promise<Page<RunWithoutData>>;
    list(params?: ListRunsOptions & { resolveData?: 'all' }): Promise<Page<WorkflowRun>>;
    list(params?: ListRunsOptions): Promise<Page<WorkflowRun | RunWithoutData>>;
  };
  /** Steps of runs. */
  steps: {
    get(
      runId: string | undefined,
      stepId: string,
      params: ReadOptions & { resolveData: 'none' },
    ): Promise<StepWithoutData>;
    get(
      runId: string | undefined,
      stepId: string,
      params?: ReadOptions & { resolveData?: 'all' },
    ): Promise<Step>;
    get(
      runId: string | undefined,
      stepId: string,
      params?: ReadOptions,
    ): Promise<Step | StepWithoutData>;
    list(params: ListStepsOptions & { resolveData: 'none' }): Promise<Page<StepWithoutData>>;
    list(params: ListStepsOptions & { resolveData?: 'all' }): Promise<Page<Step>>;
    list(params: ListStepsOptions): Promise<Page<Step | StepWithoutData>>;
  };
  /** The append-only log of each run; every change of state goes through `create`. */
  events: {
    create(
      runId: string | null,
      event: EventRequest,
      params?: CreateEventOptions,
    ): Promise<EventResult>;
    get(runId: string, eventId: string, params?: ReadOptions): Promise<Event>;
    list(params: ReadOptions & PageRequest & { runId: string }): Promise<Page<Event>>;
    listByCorrelationId(
      params: ReadOptions & PageRequest & { correlationId: string; runId?: string },
    ): Promise<Page<Event>>;
  };
  /** Live hooks; metadata as stored. Rejects with `HookNotFoundError` when there is none. */
  hooks: {
    get(hookId: string, params?: ReadOptions): Promise<Hook>;
    getByToken(token: string, params?: ReadOptions): Promise<Hook>;
    list(params: ReadOptions & PageRequest & { runId?: string }): Promise<Page<Hook>>;
  };
}

/** Messages that make the SDK's runtime replay a run or execute a step. */
export interface Queue {
  /** The same for every process and build; `WORKFLOW_HOOKLINE_DEPLOYMENT_ID` sets another. */
  getDeploymentId(): Promise<string>;
  /** Enqueues a message; resolves when it is on disk. */
  queue(
    queueName: string,
    message: unknown,
    options?: QueueMessageOptions,
  ): Promise<{ messageId: any }>;
  /**
   * Registers the handler for the queues with this prefix, and returns it as a route handler for
   * deliveries by HTTP. That answers 400 to a malformed request, 401 to one that does not belong to
   * a live delivery, 500 when the handler throws, 422 when what it asked for can never be stored and
   * it has no run that could end for that, and 503 when this process lacks the key of the run or the
   * version that it needs. A server of your own passes the answer on with its headers: without them
   * the queue takes it for somebody else's.
   */
  createQueueHandler(
    queueNamePrefix: string,
    handler: (
      message: unknown,
      meta: { attempt: number; queueName: string; messageId: any; requestId?: string },
    ) => Promise<void | { timeoutSeconds: number }>,
  ): (request: Request) => Promise<Response>;
}

/** What an operator looks at. The Workflow SDK itself does not use it. */
export interface Inspection {
  /** How much there is to do, and what this process is doing of it. */
  stats(): Promise<WorldStats>;
  /** Messages that were given up after many failed deliveries, the oldest first unless told. */
  deadMessages(params?: PageRequest): Promise<Page<DeadMessage>>;
  /**
   * Puts a message that was given up back into the queue: due now, its attempts counted anew.
   *
   * @returns The message that will be delivered. When one with the same idempotency key has been
   *   enqueued since, it is that one, and the dead one goes.
   * @throws WorkflowWorldError with code `NOT_FOUND` when no such message is dead.
   */
  redrive(messageId: string): Promise<{ messageId: string }>;
}

/** A reading of {@link Inspection.stats}. */
export interface WorldStats {
  /** Messages of all processes: could be delivered now, due later, being delivered, given up. */
  messages: { due: number; sleeping: number; leased: number; dead: number };
  /** Milliseconds for which the oldest due message has been due; `null` when none is. */
  oldestDueMessageMs: number | null;
  /** Runs that have not ended. */
  runs: { pending: number; running: number };
  /**
   * Deliveries of this process: at work now; and since it started, leases that ended while their
   * delivery was at work, which another process may then have repeated.
   */
  deliveries: {
    inFlight: number;
    leasesLost: number;
    /** What stood in the way of deliveries, one entry for each kind, in the order of `firstAt`. */
    faults: WorkerFault[];
  };
  /**
   * The write-ahead log: the bytes of its file; and when it is long, the processes that read from it,
   * where the system tells, because one of them may keep it from beginning anew.
   */
  log: { bytes: number; readBy: number[] };
}

/**
 * A fault after which a worker goes on trying. The first of each kind is also a warning of the process
 * (`process.on('warning')`, with the name `HooklineWarning`).
 */
export interface WorkerFault {
  /**
   * What failed: to claim messages, to hand one over, to write how its delivery ended, to extend
   * leases, to free those of processes that have ended, to search for forgotten runs, to reach the app
   * while messages wait for it, or the worker itself, which began anew.
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
  /** As the `code` of a `WorkflowWorldError`. */
  code: string;
  /** What was wrong the last time, and what to do. */
  message: string;
  /** How often it happened. */
  times: number;
  firstAt: Date;
  lastAt: Date;
  /** Whether the same has gone well since. */
  isPast: boolean;
}

/** A message that was given up. */
export interface DeadMessage {
  messageId: string;
  queueName: string;
  /** The run that it was to replay; absent for the message of a step. */
  runId?: string;
  /** How often it was delivered. */
  attempt: number;
  /** What went wrong the last time. */
  error?: string;
  createdAt: Date;
  /** When it was given up. */
  deadAt: Date;
}

/** Ordered bytes that a run produces, readable while they are written. */
export interface Streamer {
  /** Milliseconds that the SDK gathers chunks before it writes them. */
  streamFlushIntervalMs?: number;
  /** Appends a chunk (text as UTF-8). Calls for one stream keep their order. */
  writeToStream(
    name: string,
    runId: string | Promise<string>,
    chunk: string | Uint8Array,
  ): Promise<void>;
  /** Appends chunks together. */
  writeToStreamMulti(
    name: string,
    runId: string | Promise<string>,
    chunks: (string | Uint8Array)[],
  ): Promise<void>;
  /** Ends a stream: its readers end when they have read everything. */
  closeStream(name: string, runId: string | Promise<string>): Promise<void>;
  /**
   * Reads from a chunk on, waiting for more until the stream is closed. A negative index counts
   * from the end of what is there now. Chunks without bytes are left out.
   */
  readFromStream(name: string, startIndex?: number): Promise<ReadableStream<Uint8Array>>;
  /** The names of the streams that a run has written to. */
  listStreamsByRunId(runId: string): Promise<string[]>;
  /** A page of the chunks that are there now; `limit` is 100 unless told, at most 1000. */
  getStreamChunks(
    name: string,
    runId: string,
    options?: { limit?: number; cursor?: string },
  ): Promise<Page<{ index: number; data: Uint8Array }> & { done: boolean }>;
  /** The index of the last chunk (-1 when there is none), and whether the stream is closed. */
  getStreamInfo(name: string, runId: string): Promise<{ tailIndex: number; done: boolean }>;
}

/** What Hookline offers the person who runs a World, beyond what the SDK asks for. */
export interface Upkeep {
  /**
   * Copies the database into a new file that only its owner can read, while it is being used.
   *
   * @param file - The file to make; from the working directory when it is relative.
   * @returns What is in the copy, which has been checked and is on disk.
   * @throws WorkflowWorldError when there is such a file already, or it cannot be written.
   */
  backup(file: string): Promise<{ bytes: number; runs: number; events: number }>;
}

// ---------------------------------------------------------------------------------------------
// Entities
// ---------------------------------------------------------------------------------------------

/** A stored payload: the SDK's bytes, or for spec version 1 a JSON value. */
export type SerializedData = unknown;

/** How much a read returns; `'none'` leaves payloads out. */
export interface ReadOptions {
  resolveData?: 'none' | 'all';
}

/** Which page of a list; `cursor` is the one of the page before. */
export interface PageRequest {
  pagination?: { limit?: number; cursor?: string; sortOrder?: 'asc' | 'desc' };
}

/** One page of a list. */
export interface Page<T> {
  data: T[];
  /** Where the next page begins. */
  cursor: string | null;
  hasMore: boolean;
}

/** Filters of `runs.list`. */
export interface ListRunsOptions extends ReadOptions, PageRequest {
  workflowName?: string;
  status?: RunStatus;
}

/** Filters of `steps.list`. */
export interface ListStepsOptions extends ReadOptions, PageRequest {
  runId: string;
}

/** Options of `queue`. */
export interface QueueMessageOptions {
  deploymentId?: string;
  /** While a message with this key is queued, another one with it is that message. */
  idempotencyKey?: string;
  /** Sent along with a delivery by HTTP. */
  headers?: Record<string, string>;
  /** Seconds before the first delivery. */
  delaySeconds?: number;
  /** The spec version of the run that the message is for. */
  specVersion?: number;
}

/** Options of `events.create`. */
export interface CreateEventOptions extends ReadOptions {
  v1Compat?: boolean;
  requestId?: string;
  stateUpdatedAt?: number;
  occurredAt?: Date;
}

/** Where a run stands. */
export type RunStatus = 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';

/** An error as events and entities store it. */
export interface StructuredError {
  message: string;
  stack?: string;
  code?: string;
}

/** What a run has whatever its status. */
export interface RunBase {
  runId: string;
  deploymentId: string;
  workflowName: string;
  specVersion?: number;
  executionContext?: Record<string, any>;
  input?: SerializedData;
  expiredAt?: Date;
  startedAt?: Date;
  createdAt: Date;
  updatedAt: Date;
}

/** One execution of a workflow. */
export type WorkflowRun =
  | (RunBase & {
      status: 'pending' | 'running';
      output?: undefined;
      error?: undefined;
      completedAt?: undefined;
    })
  | (RunBase & { status: 'cancelled'; output?: undefined; error?: undefined; completedAt: Date })
  | (RunBase & {
      status: 'completed';
      output: SerializedData;
      error?: undefined;
      completedAt: Date;
    })
  | (RunBase & {
      status: 'failed';
      output?: undefined;
      error: StructuredError;
      completedAt: Date;
    });

/** A run read with `resolveData: 'none'`. */
export type RunWithoutData = Omit<WorkflowRun, 'input' | 'output'> & {
  input: undefined;
  output: undefined;
};

/** A memoised unit of work of a run. */
export interface Step {
  runId: string;
  stepId: string;
  stepName: string;
  status: 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';
  input?: SerializedData;
  output?: SerializedData;
  /** The latest error: of a retry, or of the final failure. */
  error?: StructuredError;
  attempt: number;
  /** When the first attempt began. */
  startedAt?: Date;
  completedAt?: Date;
  createdAt: Date;
  updatedAt: Date;
  /** The earliest time of the next attempt. */
  retryAfter?: Date;
  specVersion?: number;
}

/** A step read with `resolveData: 'none'`. */
export type StepWithoutData = Omit<Step, 'input' | 'output'> & {
  input: undefined;
  output: undefined;
};

/**
 * A durable resume point of a workflow run, made by `createHook()` inside the workflow.
 */
export interface Hook {
  /** The workflow run that this hook belongs to. */
  runId: string;
  /** This hook's identifier within its run. */
  hookId: string;
  /** The secret that names this hook. */
  token: string;
  /** The owner (team or user) of this hook; this World, which has none, says `hookline`. */
  ownerId: string;
  /** The project of this hook; this World, which has none, says `hookline`. */
  projectId: string;
  /** The environment in which this hook was created. */
  environment: string;
  /**
   * What the workflow attached to the hook when it created it.
   *
   * `getHookByToken()` and `resumeHook()` by token give the value itself; a hook read from
   * the World (`world.hooks`) has it as stored bytes. The key is absent when there is none.
   */
  metadata?: any;
  /** When this hook was created. */
  createdAt: Date;
  /** The spec version of the SDK that created this hook. */
  specVersion?: number;
  /** Whether the public webhook route may resume this hook; `undefined` counts as true. */
  isWebhook?: boolean;
}

/** A durable timer of a run. */
export interface Wait {
  waitId: string;
  runId: string;
  status: 'waiting' | 'completed';
  resumeAt?: Date;
  completedAt?: Date;
  createdAt: Date;
  updatedAt: Date;
  specVersion?: number;
}

/** What `events.create` returns: the event, and the entity that it changed. */
export interface EventResult {
  /** Absent for the few events that change an entity without being stored. */
  event?: Event;
  run?: WorkflowRun;
  step?: Step;
  hook?: Hook;
  wait?: Wait;
  /** The log so far, when it came along complete or in part. */
  events?: Event[];
  cursor?: string | null;
  hasMore?: boolean;
  /** The most events that a run may have; set by `WORKFLOW_MAX_EVENTS`. */
  maxEvents?: number;
}

/** The event types that a caller may append. */
export type EventRequestType = Exclude<Event['eventType'], 'hook_conflict'>;

/** An event to append. */
export interface EventRequest {
  eventType: EventRequestType;
  /** Ties the event to its step, hook or wait; `run_*` events have none. */
  correlationId?: string;
  specVersion?: number;
  /** As in {@link Event} of the same type. */
  eventData?: object;
}

/** What every event has. */
export interface EventBase<Type extends string> {
  runId: string;
  eventId: string;
  eventType: Type;
  createdAt: Date;
  specVersion?: number;
}

/** An event of a run itself. */
export interface RunEvent<Type extends string> extends EventBase<Type> {
  correlationId?: string;
}

/** An event of a step, a hook or a wait. */
export interface EntityEvent<Type extends string> extends EventBase<Type> {
  correlationId: string;
}

/** What a run is created from. */
export interface RunCreation {
  deploymentId: string;
  workflowName: string;
  input: SerializedData;
  executionContext?: Record<string, any>;
}

/** One appended fact of a run's log. */
export type Event =
  | (RunEvent<'run_created'> & { eventData: RunCreation })
  | (RunEvent<'run_started'> & { eventData?: Partial<RunCreation> })
  | (RunEvent<'run_completed'> & { eventData: { output?: SerializedData } })
  | (RunEvent<'run_failed'> & { eventData: { error: any; errorCode?: string } })
  | RunEvent<'run_cancelled'>
  | (EntityEvent<'step_created'> & {
      eventData: { stepName: string; workflowName?: string; input: SerializedData };
    })
  | (EntityEvent<'step_started'> & {
      eventData?: { stepName?: string; attempt?: number; workflowName?: string };
    })
  | (EntityEvent<'step_completed'> & {
      eventData: { stepName?: string; workflowName?: string; result: SerializedData };
    })
  | (EntityEvent<'step_failed'> & {
      eventData: { stepName?: string; error: any; stack?: string };
    })
  | (EntityEvent<'step_retrying'> & {
      eventData: { stepName?: string; error: any; stack?: string; retryAfter?: Date };
    })
  | (EntityEvent<'hook_created'> & {
      eventData: { token: string; metadata?: SerializedData; isWebhook?: boolean };
    })
  | (EntityEvent<'hook_received'> & { eventData: { token?: string; payload: SerializedData } })
  | (EntityEvent<'hook_disposed'> & { eventData?: { token?: string } })
  | (EntityEvent<'hook_conflict'> & { eventData: { token: string; conflictingRunId?: string } })
  | (EntityEvent<'wait_created'> & { eventData: { resumeAt: Date } })
  | (EntityEvent<'wait_completed'> & { eventData?: { resumeAt?: Date } });
