/**
 * The World: what `createWorld()` takes and returns, which the Workflow SDK calls. `index.d.ts` exports
 * all of it; nothing needs to import this file.
 */

import type { Inspection } from './inspection.js';
import type {
  BatchedEvent,
  CreateEventOptions,
  Event,
  EventBatchResult,
  EventRequest,
  EventResult,
  Hook,
  ListRunsOptions,
  ListStepsOptions,
  Page,
  PageRequest,
  QueueMessageOptions,
  ReadOptions,
  RunWithoutData,
  Step,
  StepWithoutData,
  WaitOptions,
  WorkflowRun,
} from './records.js';

/**
 * Options of `createWorld()`. An option wins over its environment variable.
 * The values are checked when the database opens. With a bad value or an unknown option, the first
 * operation and `start()` reject with a `WorkflowWorldError` of code `BAD_CONFIG`.
 */
export interface WorldOptions {
  /**
   * The database: a path, a `file:` URL, `:memory:`, or a `postgres://` URL for many hosts
   * (docs/postgres.md). A relative path starts at the working directory. Default
   * `.workflow-data/hookline.db` in the working directory, or in the folder of the app when its built
   * server runs in a build folder. Variable: `WORKFLOW_HOOKLINE_URL`.
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
  /**
   * Deliveries in flight at once in this process: 1 to 10,000. Default 100. Variable:
   * `WORKFLOW_HOOKLINE_CONCURRENCY`.
   */
  concurrency?: number;
  /**
   * What this process does. `'all'` (default) and `'worker'` read, write and deliver. `'producer'`
   * reads and writes, and never delivers. `'reader'` only reads, and refuses every write with the
   * code `READ_ONLY`.
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
   * Whether opening a Postgres database makes its schema, or brings it up to date, where that is
   * needed (`'on'`, default). With `'off'` only `npx hookline migrate` does. Variable:
   * `WORKFLOW_HOOKLINE_MIGRATE`.
   */
  migrate?: 'on' | 'off';
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
   * the SDK's runtime fail the run. Variable: `WORKFLOW_HOOKLINE_CODE_MISMATCH`.
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
   * only if no other code of the process listens for the signal, or if that code has given the World
   * its route (as eve does); then the code ends the process.
   */
  start(): Promise<void>;
  /**
   * Lets deliveries in flight end, for ten seconds at most, and closes. You may call it twice, or
   * before any use. Whatever is called afterwards rejects with a `WorkflowWorldError` of code `CLOSED`.
   */
  close(): Promise<void>;
}

/**
 * Runs, steps, events and hooks. If there is no database, a read answers as for an empty one and
 * does not make it; the first write makes it.
 *
 * Each method rejects with a `WorkflowWorldError`: with code `INVALID` for an argument that cannot be,
 * and with the code of the fault when the database cannot be used. Too many reads or writes at once
 * reject with `ThrottleError`.
 */
export interface Storage {
  /**
   * Workflow runs. Rejects with `WorkflowRunNotFoundError` for a run that does not exist. `list` begins
   * with the newest run.
   */
  runs: {
    get(runId: string, params: ReadOptions & { resolveData: 'none' }): Promise<RunWithoutData>;
    get(runId: string, params?: ReadOptions & { resolveData?: 'all' }): Promise<WorkflowRun>;
    get(runId: string, params?: ReadOptions): Promise<WorkflowRun | RunWithoutData>;
    /**
     * Waits until the run has ended, or `timeoutMs` is over, and returns the run in either case. The
     * commit of the end wakes the wait. SDK 4.8.9 does not call this.
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
  /**
   * Steps of runs. `get` rejects with a `WorkflowWorldError` of code `NOT_FOUND` for a step that does not
   * exist. `list` begins with the step that was created last.
   */
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
  /**
   * The append-only log of each run; every change of state goes through `create`. `get` rejects with a
   * `WorkflowWorldError` of code `NOT_FOUND` for an event that does not exist. The lists begin with the
   * oldest event.
   */
  events: {
    /**
     * Appends an event, changes the entity that it is about, and enqueues the messages that it causes,
     * in one commit. When it rejects, nothing is written.
     *
     * @throws WorkflowRunNotFoundError, HookNotFoundError, or WorkflowWorldError with code `NOT_FOUND`
     *   when there is no such run, hook, step or wait.
     * @throws EntityConflictError when the entity exists already, or has ended.
     * @throws RunExpiredError when the run has ended, and so nothing can be started in it.
     * @throws TooEarlyError when the step may not be tried again yet.
     * @throws RunNotSupportedError when this version cannot execute the run.
     * @throws WorkflowWorldError with code `LEASE_LOST` or `CODE_MISMATCH` when a delivery may not write
     *   for its run any more, and with code `RELEASE_GONE` when the release of the run is gone.
     */
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
     * `step_started` with an input. A fault of the database rejects the whole batch. SDK 4.8.9 does
     * not call this.
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
  /**
   * Live hooks; metadata as stored. Rejects with `HookNotFoundError` when there is none. `list` begins
   * with the hook that was created first.
   */
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
  /**
   * Enqueues a message; resolves when the message is on disk.
   *
   * @throws WorkflowWorldError with code `INVALID` for a queue name or a message that cannot be, with
   *   code `RELEASE_GONE` when its release is gone, and with the code of the fault when the database
   *   cannot be used.
   * @throws ThrottleError when too many writes are waiting.
   */
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

/** What a World can do, as SDK 5.x asks for it. */
export interface WorldCapabilities {
  /** A resume that carries an id happens once. */
  hookResumeDedup?: boolean;
  /** A hook keeps its token for as long as its `experimental_minRetention` says. */
  hookRetention?: { active: boolean };
  /** A message goes only to processes of the release of its run. */
  deploymentAffinity?: boolean;
}

/** The streams of runs, as SDK 5.x calls them. Their errors are those of {@link Streamer}. */
export interface RunStreams {
  /** Appends a chunk (text as UTF-8); resolves when it is on disk. Calls for one stream keep their order. */
  write(runId: string, name: string, chunk: string | Uint8Array): Promise<void>;
  /** Appends chunks in one commit. */
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
 *
 * Each method rejects with a `WorkflowWorldError` when the database cannot be used, and with code
 * `INVALID` for an argument that cannot be. A new stream of a run whose values were dropped at its end
 * (`experimental_retention: 0`) is refused with `RunExpiredError`.
 */
export interface Streamer {
  /** For how many milliseconds the SDK gathers chunks before a write. */
  streamFlushIntervalMs?: number;
  /** The same for SDK 5.x. */
  streams: RunStreams;
  /** Appends a chunk (text as UTF-8); resolves when it is on disk. Calls for one stream keep their order. */
  writeToStream(
    name: string,
    runId: string | Promise<string>,
    chunk: string | Uint8Array,
  ): Promise<void>;
  /** Appends chunks in one commit. */
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
   * @throws WorkflowWorldError when the file exists already, or cannot be written, and for a Postgres
   *   database, which its own tools copy; the message says how.
   */
  backup(file: string): Promise<{ bytes: number; runs: number; events: number }>;
}
