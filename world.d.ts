/**
 * The World and what it stores: the types of `createWorld()`'s result, which the Workflow SDK
 * calls. `index.d.ts` exports them all; nothing needs to import this file.
 */

/**
 * Options of `createWorld()`. An option wins over its environment variable.
 * The values are checked when the database opens. With a bad value or an unknown option, the first
 * operation and `start()` reject with a `WorkflowWorldError` of code `BAD_CONFIG`.
 */
export interface WorldOptions {
  /**
   * The database: a path, a `file:` URL or `:memory:`; a relative path starts at the working
   * directory. Default `.workflow-data/hookline.db` in the working directory, or in the folder of the
   * app when its built server runs in a build folder. Variable: `WORKFLOW_HOOKLINE_URL`.
   */
  url?: string;
  /**
   * For a Postgres database behind a pooler that gives each transaction another connection (PgBouncer
   * in transaction mode): a URL of the same database past the pooler, for the one connection of this
   * process that must stay the same. `'off'` does without: commits of other processes are noticed after
   * up to half a second, and the death of a worker when its leases expire, after 45 seconds. Default:
   * the same URL as the database. Variable: `WORKFLOW_HOOKLINE_LISTEN_URL`.
   */
  listenUrl?: string;
  /**
   * `'full'` (default): every acknowledged write survives a power cut. `'normal'`: it survives a
   * crash of the process, but perhaps not a power cut. Variable: `WORKFLOW_HOOKLINE_DURABILITY`.
   */
  durability?: 'full' | 'normal';
  /** Deliveries in flight at once in this process. Variable: `WORKFLOW_HOOKLINE_CONCURRENCY`. */
  concurrency?: number;
  /**
   * What this process does. `'all'` (default) and `'worker'` read, write and deliver. `'producer'`
   * reads and writes, and never delivers. `'reader'` opens the file for reading only, and refuses
   * every write with the code `READ_ONLY`.
   * Variable: `WORKFLOW_HOOKLINE_ROLE`.
   */
  role?: 'all' | 'producer' | 'worker' | 'reader';
  /**
   * How messages reach the handlers: by calls in this process (`'direct'`), by HTTP to the app's
   * own routes (`'http'`), or as the framework needs it (`'auto'`, default). Variable:
   * `WORKFLOW_HOOKLINE_DELIVERY`.
   */
  delivery?: 'auto' | 'direct' | 'http';
  /**
   * The app's address for HTTP delivery, an `http://` or `https://` URL. Default: where this
   * process listens, else `WORKFLOW_LOCAL_BASE_URL`, else `http://localhost:$PORT`. Variable:
   * `WORKFLOW_HOOKLINE_BASE_URL`.
   */
  baseUrl?: string;
  /**
   * Where the file may be: only on file systems of this host (`'local'`, default), or also on
   * network and FUSE file systems (`'any'`). Set `'any'` only if a single host opens the file and
   * mmap works there. Variable: `WORKFLOW_HOOKLINE_FILE_SYSTEM`.
   */
  fileSystem?: 'local' | 'any';
  /**
   * Encrypts stored values with this key ring: entries `id:base64`, the newest first, each key 32
   * bytes. The first key encrypts new values; the other keys still decrypt. Default: no encryption.
   * Variable: `WORKFLOW_HOOKLINE_ENCRYPTION_KEYS`, with commas between the entries.
   */
  encryptionKeys?: string | readonly string[];
  /**
   * How hook tokens are stored: as they are (`'plain'`, default), or as a keyed hash followed by
   * the encrypted token (`'sealed'`), which needs `encryptionKeys`. Variable:
   * `WORKFLOW_HOOKLINE_TOKENS`.
   */
  tokens?: 'plain' | 'sealed';
  /**
   * Whether spans hold the tokens of hooks, as the spans of the SDK do. Default false, because
   * tokens are secrets and many people read traces. Variable: `WORKFLOW_HOOKLINE_TRACE_TOKENS`.
   */
  traceTokens?: boolean;
  /**
   * What happens to a run whose code no worker has, after a release that changed, renamed or removed
   * its workflow: `'hold'` (default) holds its messages until a worker has fitting code, `'fail'` lets
   * the SDK's runtime fail the run.
   */
  codeMismatch?: 'hold' | 'fail';
  /**
   * For how many milliseconds the SDK gathers stream chunks before a write. Default 0. No variable.
   */
  streamFlushIntervalMs?: number;
}

/** The interface that the Workflow SDK 4.x needs of a backend; see `@workflow/world`. */
export interface World extends Storage, Queue, Streamer, Inspection, Upkeep {
  /** The spec version of new runs, for the line of the SDK that this process has. */
  specVersion: number;
  /** What this World can do beyond what SDK 5.x needs. SDK 4.x does not ask. */
  readonly capabilities: WorldCapabilities;
  /**
   * The AES-256 key of a run, for the SDK; `undefined` when its values are plain.
   *
   * @throws WorkflowWorldError with code `ENCRYPTION_KEY_MISSING` when the key ring lacks the key
   *   that the run was started with, `ENCRYPTION_KEY_WRONG` when it has another key under that id.
   */
  getEncryptionKeyForRun(run: WorkflowRun): Promise<Uint8Array | undefined>;
  getEncryptionKeyForRun(
    runId: string,
    context?: Record<string, unknown>,
  ): Promise<Uint8Array | undefined>;
  /**
   * Opens the database, and begins to deliver messages to this process's handlers. If the handlers
   * are behind the app's routes, delivery begins when the app answers; `start()` does not wait for
   * that.
   *
   * Rejects with the error of the first claim when this process can never claim a message. A fault
   * that may pass, such as `BUSY`, does not reject. `stats()` shows later faults.
   *
   * From then on, at SIGTERM or SIGINT, the process first lets deliveries in flight end, for ten
   * seconds at most, and then ends by the signal; a second signal ends it at once. This applies
   * only if no other code of the process listens for the signal.
   */
  start(): Promise<void>;
  /** Lets deliveries in flight end, and closes. You may call it twice, or before any use. */
  close(): Promise<void>;
}

/**
 * Runs, steps, events and hooks. If there is no database, a read answers as for an empty one and
 * does not make it; the first write makes it.
 */
export interface Storage {
  /** Workflow runs. Rejects with `WorkflowRunNotFoundError` for a run that does not exist. */
  runs: {
    get(runId: string, params: ReadOptions & { resolveData: 'none' }): Promise<RunWithoutData>;
    get(runId: string, params?: ReadOptions & { resolveData?: 'all' }): Promise<WorkflowRun>;
    get(runId: string, params?: ReadOptions): Promise<WorkflowRun | RunWithoutData>;
    /**
     * Waits until the run has ended, or `timeoutMs` is over, and returns the run. The commit of the
     * end wakes the wait. SDK 4.8.9 does not call this.
     */
    waitForTerminalStatus(
      runId: string,
      params: WaitOptions & { resolveData: 'none' },
    ): Promise<RunWithoutData>;
    waitForTerminalStatus(
      runId: string,
      params?: WaitOptions & { resolveData?: 'all' },
    ): Promise<WorkflowRun>;
    waitForTerminalStatus(
      runId: string,
      params?: WaitOptions,
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
    /**
     * Appends events of a run in one commit, in their order. Each has the outcome that it would have
     * alone, with one exception: if a `step_created` is refused, so is the `step_started` of its step.
     * Rejects for a batch with an event that has to be alone: the start, the creation and the
     * cancellation of a run, the creation and the disposal of a hook, a change of attributes, and a
     * `step_started` with an input. SDK 4.8.9 does not call this.
     */
    createBatch(
      runId: string,
      events: BatchedEvent[],
      params?: CreateEventOptions,
    ): Promise<EventBatchResult>;
    get(runId: string, eventId: string, params?: ReadOptions): Promise<Event>;
    list(params: ReadOptions & PageRequest & { runId: string }): Promise<Page<Event>>;
    /**
     * The events of one step, hook or wait. A page may have fewer than its limit, or none, while
     * `hasMore` is true: of a very long log each page looks through a part.
     */
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
  /**
   * The release of this process, an id of its build that `WORKFLOW_HOOKLINE_DEPLOYMENT_ID` sets; without
   * a release an id that is equal for every process and build.
   */
  getDeploymentId(): Promise<string>;
  /**
   * The newest release that has a living process of this SDK's line, which `start()` takes for
   * `deploymentId: 'latest'`; absent in a process without a release.
   */
  readonly resolveLatestDeploymentId?: () => Promise<string>;
  /**
   * Whether an error says that a person has declared the release gone which was to get a message
   * (`hookline gone`); absent in a process without a release.
   */
  readonly isDeploymentUnavailableError?: (error: unknown) => boolean;
  /** Enqueues a message; resolves when the message is on disk. */
  queue(
    queueName: string,
    message: unknown,
    options?: QueueMessageOptions,
  ): Promise<{ messageId: any }>;
  /**
   * Enqueues messages in one commit; resolves when they are on disk, with the outcome of each, in
   * their order. One that can never be enqueued does not hold up the others.
   */
  queueBatch(
    queueName: string,
    messages: readonly { message: unknown; opts?: QueueMessageOptions }[],
  ): Promise<
    (
      | { messageId: any; error?: undefined }
      | { messageId: null; error: string; retryable: boolean }
    )[]
  >;
  /**
   * Registers the handler for the queues with this prefix, and returns a route handler for
   * deliveries by HTTP. The route handler answers 400 to a malformed request, 401 to a request that
   * does not belong to a live delivery, and 500 when the handler throws. It answers 422 when the
   * handler asked for something that can never be stored and there is no run that could fail for
   * it, and 503 when this process lacks the key of the run or the version that the run needs. If
   * you have a server of your own, pass the answer on with its headers: without them the queue
   * rejects the answer.
   */
  createQueueHandler(
    queueNamePrefix: string,
    handler: (
      message: unknown,
      meta: { attempt: number; queueName: string; messageId: any; requestId?: string },
    ) => Promise<void | { timeoutSeconds: number }>,
  ): (request: Request) => Promise<Response>;
  /**
   * Takes the handler of the app's route for the queues with this prefix: their messages are
   * delivered within this process. For SDK 5.x, whose handler registers itself only at the first
   * request to the route; a server that bundles this World calls it.
   */
  registerHandler(queueNamePrefix: string, handler: (request: Request) => Promise<Response>): void;
}

/** The state of the queue, for operators. The Workflow SDK itself does not use this. */
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
   * Why messages wait that should be delivered, by all that is known on this host; `null` while
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
  firstAt: Date;
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
  messageId: string;
  queueName: string;
  /** The run that the message was to replay; absent for the message of a step. */
  runId?: string;
  /** How often it was delivered. */
  attempt: number;
  /** The error of the latest delivery. */
  error?: string;
  createdAt: Date;
}

/** What a World can do, as SDK 5.x asks for it. */
export interface WorldCapabilities {
  /** A resume that carries an id happens once. */
  hookResumeDedup?: boolean;
  /** A hook keeps its token for as long as its `experimental_minRetention` says. */
  hookRetention?: { active: boolean };
  /** A message goes only to processes of the release of its run. */
  deploymentAffinity?: boolean;
}

/** The streams of runs, as SDK 5.x calls them. */
export interface RunStreams {
  /** Appends a chunk (text as UTF-8). Calls for one stream keep their order. */
  write(runId: string, name: string, chunk: string | Uint8Array): Promise<void>;
  /** Appends chunks together. */
  writeMulti(runId: string, name: string, chunks: (string | Uint8Array)[]): Promise<void>;
  /** Ends a stream: its readers end when they have read everything. */
  close(runId: string, name: string): Promise<void>;
  /** Reads from a chunk on, as {@link Streamer.readFromStream} does. */
  get(runId: string, name: string, startIndex?: number): Promise<ReadableStream<Uint8Array>>;
  /** The names of the streams that a run has written to. */
  list(runId: string): Promise<string[]>;
  /** A page of the present chunks; `limit` is 100 by default and at most 1000. */
  getChunks(
    runId: string,
    name: string,
    options?: { limit?: number; cursor?: string },
  ): Promise<Page<{ index: number; data: Uint8Array }> & { done: boolean }>;
  /** The index of the last chunk (-1 when there is none), and whether the stream is closed. */
  getInfo(runId: string, name: string): Promise<{ tailIndex: number; done: boolean }>;
}

/**
 * Streams: ordered bytes that a run produces, readable while they are written. SDK 4.x calls the
 * methods of this interface, SDK 5.x those of `streams`.
 */
export interface Streamer {
  /** For how many milliseconds the SDK gathers chunks before a write. */
  streamFlushIntervalMs?: number;
  streams: RunStreams;
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
   * Reads from a chunk on, and waits for more chunks until the stream is closed. A negative index
   * counts from the end of the present chunks. Chunks without bytes are left out.
   */
  readFromStream(name: string, startIndex?: number): Promise<ReadableStream<Uint8Array>>;
  /** The names of the streams that a run has written to. */
  listStreamsByRunId(runId: string): Promise<string[]>;
  /** A page of the present chunks; `limit` is 100 by default and at most 1000. */
  getStreamChunks(
    name: string,
    runId: string,
    options?: { limit?: number; cursor?: string },
  ): Promise<Page<{ index: number; data: Uint8Array }> & { done: boolean }>;
  /** The index of the last chunk (-1 when there is none), and whether the stream is closed. */
  getStreamInfo(name: string, runId: string): Promise<{ tailIndex: number; done: boolean }>;
}

/** Functions for operators, beyond those that the SDK needs. */
export interface Upkeep {
  /**
   * Copies the database into a new file that only its owner can read. The database may be in use.
   *
   * @param file - The file to make; a relative path starts at the working directory.
   * @returns The size and content of the copy. The copy is checked and on disk.
   * @throws WorkflowWorldError when the file exists already, or cannot be written.
   */
  backup(file: string): Promise<{ bytes: number; runs: number; events: number }>;
}

// ---------------------------------------------------------------------------------------------
// Entities
// ---------------------------------------------------------------------------------------------

/** A stored payload: the SDK's bytes, or for spec version 1 a JSON value. */
export type SerializedData = unknown;

/** Whether a read returns payloads; `'none'` leaves them out. */
export interface ReadOptions {
  resolveData?: 'none' | 'all';
}

/** How to wait for the end of a run; `timeoutMs` has no limit by default. */
export interface WaitOptions extends ReadOptions {
  timeoutMs?: number;
}

/** Selects a page of a list; `cursor` comes from the page before. */
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
  /** A status, or several of which a run may have any; an empty list means none. */
  status?: RunStatus | RunStatus[];
}

/** Filters of `steps.list`. */
export interface ListStepsOptions extends ReadOptions, PageRequest {
  runId: string;
}

/** Options of `queue`. */
export interface QueueMessageOptions {
  deploymentId?: string;
  /**
   * While a message with this key is queued, enqueueing another one with it returns that message.
   */
  idempotencyKey?: string;
  /** Headers that a delivery by HTTP carries. */
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
  /** How many events of the log the caller holds. The answer has those that came between. */
  eventCount?: number;
  /** The cursor of the log as the caller knows it. The answer has everything after it. */
  sinceCursor?: string;
  /** Whether `run_started` is answered without the log. */
  skipPreload?: boolean;
  /** Names a resume, on `hook_received`. A resume with the same name happens once. */
  resumeId?: string;
  /** A digest of the payload of the resume. */
  resumePayloadDigest?: string;
}

/** An event of a batch. The other fields are accepted and not used. */
export interface BatchedEvent {
  event: Omit<EventRequest, 'eventType'> & { eventType: string };
  occurredAt?: Date;
  computeInstanceId?: string;
}

/** The outcomes of a batch, one for each event, in their order. */
export interface EventBatchResult {
  results: (
    | {
        status: 200;
        error?: undefined;
        message?: undefined;
        event: any;
        step?: any;
        wait?: any;
        run?: any;
      }
    | {
        status: number;
        error: string;
        message: string;
        event?: undefined;
        step?: undefined;
        wait?: undefined;
        run?: undefined;
      }
  )[];
}

/** The status of a run. */
export type RunStatus = 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';

/** An error as events and entities store it. */
export interface StructuredError {
  message: string;
  stack?: string;
  code?: string;
}

/** The fields of a run in every status. */
export interface RunBase {
  runId: string;
  deploymentId: string;
  workflowName: string;
  specVersion?: number;
  executionContext?: Record<string, any>;
  input?: SerializedData;
  /** The attributes of the run; a run of SDK 4.x has no such key. */
  attributes: Record<string, string>;
  /** The SDK's public key of the run, in base64. */
  encryptionPublicKey?: string;
  /** The SDK's code of the run's error, from spec version 6 on. */
  errorCode?: string;
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
      /** A {@link StructuredError}; of SDK 5.x the serialized value that was thrown. */
      error: any;
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
  /** A {@link StructuredError}; of SDK 5.x the serialized value that was thrown. */
  error?: any;
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
  /**
   * The owner (team or user) of this hook; this World has no owners, so it is always `hookline`.
   */
  ownerId: string;
  /** The project of this hook; this World has no projects, so it is always `hookline`. */
  projectId: string;
  /** The environment in which this hook was created. */
  environment: string;
  /**
   * The metadata that the workflow gave the hook.
   *
   * A hook read from the World (`world.hooks`) has the stored bytes; without metadata the key is
   * absent. `getHookByToken()` and the other functions return a `FoundHook`.
   */
  metadata?: any;
  /** When this hook was created. */
  createdAt: Date;
  /** The spec version of the SDK that created this hook. */
  specVersion?: number;
  /** Whether the public webhook route may resume this hook; `undefined` counts as true. */
  isWebhook?: boolean;
  /** Whether workflow 5 made this hook for its own use; hooks of workflow 4 do not have it. */
  isSystem?: boolean;
  /**
   * Until then the hook keeps its token at least (`experimental_minRetention` of workflow 5). A hook
   * that outlives its run can be read, and not resumed.
   */
  tokenRetentionUntil?: Date;
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

/** The result of `events.create`. */
export type EventResult = EventOutcome &
  (EventReport | { [Field in keyof EventReport]?: undefined });

/** The log so far, complete or in part, if the World returns it with the event. */
export interface EventReport {
  events: Event[];
  cursor: string | null;
  hasMore: boolean;
}

/** The event, and the entity that it changed. */
export interface EventOutcome {
  /** Absent for the few events that change an entity without being stored. */
  event?: Event;
  run?: WorkflowRun;
  step?: Step;
  hook?: Hook;
  wait?: Wait;
  /** Whether the event has also created its step, for a caller who may then execute it. */
  stepCreated?: true;
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
  /** The data of the event, as in {@link Event} of the same type. */
  eventData?: object;
}

/** The fields of every event. */
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

/** The data from which a run is created. */
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
      eventData: {
        token: string;
        metadata?: SerializedData;
        isWebhook?: boolean;
        isSystem?: boolean;
        tokenRetentionUntil?: Date;
      };
    })
  | (EntityEvent<'hook_received'> & { eventData: { token?: string; payload: SerializedData } })
  | (EntityEvent<'hook_disposed'> & { eventData?: { token?: string } })
  | (EntityEvent<'hook_conflict'> & { eventData: { token: string; conflictingRunId?: string } })
  | (EntityEvent<'wait_created'> & { eventData: { resumeAt: Date } })
  | (EntityEvent<'wait_completed'> & { eventData?: { resumeAt?: Date } });
