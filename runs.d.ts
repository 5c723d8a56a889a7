/**
 * Starting and following runs. `index.d.ts` exports all of it; nothing needs to import this file.
 */

import type { RunStatus } from './records.js';

/** A workflow function as you write it; `start()` accepts it after the SDK has compiled it. */
export type WorkflowFunction<TArgs extends unknown[], TResult> = (
  ...args: TArgs
) => Promise<TResult>;

/** The properties that the SDK's build adds to a workflow function. */
export type WorkflowMetadata = {
  /** The workflow's name, for example `workflow//./workflows/approval//approval`. */
  workflowId: string;
};

/** The options that every call of {@link start} may have. */
export interface StartOptionsBase {
  /** The World to start on. Default: the World of this process. */
  world?: object;
  /** The spec version of the run. Default: the spec version of the World. */
  specVersion?: number;
  /**
   * Texts that the run shows beside its data: up to 64, with keys of up to 256 characters and values
   * of up to 256 bytes. Needs workflow 5, as do the options below; workflow 4 ignores them.
   */
  attributes?: Record<string, string>;
  /** Whether keys of `attributes` may begin with `$`, which is reserved for frameworks. */
  allowReservedAttributes?: boolean;
  /**
   * `0` deletes the run's data when it ends; then `run.returnValue` rejects with
   * {@link RunExpiredError}. `'default'` is as without the option.
   */
  experimental_retention?: 0 | 'default';
  /** The run that this run repeats, for those who look at it. */
  replayedFromRunId?: string;
  /** The namespace of the queue. Default: `WORKFLOW_QUEUE_NAMESPACE`. */
  namespace?: string;
  /** Accepted from the SDK, and not used: this World has no regions. */
  region?: string;
}

/** Options that name a deployment. */
export interface StartOptionsWithDeploymentId extends StartOptionsBase {
  /**
   * The release that the run belongs to: only its processes run it. `'latest'` is the newest release
   * that has a living process of this SDK's line. In a process without a release
   * (`WORKFLOW_HOOKLINE_DEPLOYMENT_ID`) it has no effect; `start()` says so once on the console.
   *
   * With this option the types of arguments and result are `unknown`, because another deployment
   * may have other types.
   */
  deploymentId: 'latest' | (string & {});
}

/** Options for this deployment. */
export interface StartOptionsWithoutDeploymentId extends StartOptionsBase {
  /** The run belongs to the release of this process. */
  deploymentId?: undefined;
}

/** Options of {@link start}. */
export type StartOptions = StartOptionsWithDeploymentId | StartOptionsWithoutDeploymentId;

/**
 * Starts a run of a workflow.
 *
 * One transaction writes the run and the message that starts it. When the promise resolves, both
 * are on disk. When the promise rejects, neither is, except with the code `OUTCOME_UNKNOWN`. When
 * the process dies, either both are or neither is. `start()` does not wait for the workflow.
 *
 * Works in any process that reaches the database, also one that never called `start()` on a World.
 *
 * @param workflow - The workflow function, as the SDK has compiled it, or its `workflowId`.
 * @param args - Its arguments; any values that the Workflow SDK can serialize. `start()` uploads
 *   streams among them in the background.
 * @returns The run.
 *
 * @throws {@link WorkflowRuntimeError} when `workflow` is not a workflow function, or when the
 *   arguments cannot be serialized.
 * @throws {@link WorkflowWorldError} when the database cannot be used (retry when `status` is 500
 *   or more), and with code `RELEASE_GONE` when `deploymentId` names a release that is gone.
 * @throws {@link ThrottleError} when too many writes are waiting; retry after its `retryAfter`.
 *
 * @example
 * ```ts
 * import { start } from 'hookline';
 * import { approval } from './workflows/approval';
 *
 * const run = await start(approval, ['invoice-42']);
 * console.log(run.runId, await run.returnValue);
 * ```
 */
export function start<TArgs extends unknown[], TResult>(
  workflow: WorkflowFunction<TArgs, TResult> | WorkflowMetadata,
  args: unknown[],
  options: StartOptionsWithDeploymentId,
): Promise<Run<unknown>>;
export function start<TResult>(
  workflow: WorkflowFunction<[], TResult> | WorkflowMetadata,
  options: StartOptionsWithDeploymentId,
): Promise<Run<unknown>>;
export function start<TArgs extends unknown[], TResult>(
  workflow: WorkflowFunction<TArgs, TResult> | WorkflowMetadata,
  args: TArgs,
  options?: StartOptionsWithoutDeploymentId,
): Promise<Run<TResult>>;
export function start<TResult>(
  workflow: WorkflowFunction<[], TResult> | WorkflowMetadata,
  options?: StartOptionsWithoutDeploymentId,
): Promise<Run<TResult>>;

/**
 * Makes an object for the run with this id, without looking it up. If the run does not exist, the
 * first use of the object rejects.
 *
 * @example
 * ```ts
 * const status = await getRun(runId).status;
 * ```
 */
export function getRun<TResult>(runId: string): Run<TResult>;

/**
 * A workflow run. Each property that is a promise reads the run again.
 *
 * All of them except `exists` reject with {@link WorkflowRunNotFoundError} when there is no such
 * run, and with {@link WorkflowWorldError} when the database cannot be used.
 */
export class Run<TResult> {
  constructor(runId: string);
  /** Its id. */
  readonly runId: string;
  /** Whether there is such a run. Rejects only when the database cannot be used. */
  get exists(): Promise<boolean>;
  /** Its status. */
  get status(): Promise<RunStatus>;
  /** The name of its workflow. */
  get workflowName(): Promise<string>;
  /** When it was created. */
  get createdAt(): Promise<Date>;
  /** When it began to execute; `undefined` before. */
  get startedAt(): Promise<Date | undefined>;
  /** When it ended; `undefined` before. */
  get completedAt(): Promise<Date | undefined>;
  /**
   * The return value of the workflow. The promise resolves when this process or another commits the
   * end of the run. Nothing polls meanwhile, however many promises wait. A script that awaits it
   * stays alive.
   *
   * Rejects with {@link WorkflowRunFailedError} or {@link WorkflowRunCancelledError} when the run
   * failed or was cancelled, with {@link RunExpiredError} when its values were dropped
   * (`experimental_retention: 0`), and with {@link WorkflowWorldError} (code `CLOSED`) when the World
   * is closed meanwhile.
   */
  get returnValue(): Promise<TResult>;
  /** The stream of the run's `getWritable()`: {@link getReadable} without options. */
  get readable(): WorkflowReadableStream;
  /** The values that the run writes to one of its streams, from a chunk on, as they arrive. */
  getReadable<R = any>(options?: WorkflowReadableStreamOptions): WorkflowReadableStream<R>;
  /** A sink of the stream of the run's `getWritable()`: {@link getWritable} without options. */
  get writable(): WritableStream;
  /**
   * A sink of values for one of the run's streams. Nothing is looked up before the first write.
   * Closing it closes the stream for all; `releaseLock()` of a writer only writes what is pending.
   * Needs workflow 5.
   */
  getWritable<W = any>(options?: WorkflowRunWritableStreamOptions): WritableStream<W>;
  /**
   * Cancels the run.
   *
   * @throws {@link EntityConflictError} when it has completed or failed already.
   */
  cancel(options?: CancelRunOptions): Promise<void>;
  /**
   * Ends pending `sleep()`s of the run, all of them or the named ones, and wakes the run, in one
   * transaction.
   *
   * @throws `Error` with the reason as its `cause`: there is no such run, or the database cannot be
   *   used.
   */
  wakeUp(options?: StopSleepOptions): Promise<StopSleepResult>;
}

/** Functions that are called when a run has ended; see {@link registerLifecycleHooks}. */
export interface WorkflowLifecycleHooks {
  /** The run has completed. */
  onRunCompleted?(ended: { workflowName: string; run: EndedRun }): void | Promise<void>;
  /** The run has failed, after all its retries. */
  onRunFailed?(ended: {
    workflowName: string;
    run: EndedRun;
    /** A {@link WorkflowRunFailedError}. */
    error: Error & { runId: string; errorCode?: string };
  }): void | Promise<void>;
}

/** A run that has ended, as the SDK shows it. */
export type EndedRun = Pick<Run<unknown>, keyof Run<unknown>>;

/**
 * Adds functions that the runtime of workflow 5 calls in the process that has written the end of a
 * run; with workflow 4 nothing calls them. They can neither delay nor change the run, and are not
 * repeated when their process dies.
 *
 * @returns A function that removes them.
 */
export function registerLifecycleHooks(hooks: WorkflowLifecycleHooks): () => void;

/** Options of {@link Run.cancel}. */
export interface CancelRunOptions {
  /** Why, for those who look at the run: up to 512 characters. Workflow 4 ignores it. */
  cancelReason?: string;
}

/** Which of a run's streams {@link Run.getWritable} writes to, and how. */
export interface WorkflowRunWritableStreamOptions {
  /** Promises of the writes are pushed to this list. */
  ops?: Promise<any>[];
  /** The global object whose classes are used. */
  global?: Record<string, any>;
  /** Default: the run's stream without a namespace. */
  namespace?: string;
}

/** The sleeps that {@link Run.wakeUp} ends; without this option, all pending sleeps. */
export interface StopSleepOptions {
  /** Correlation ids of the sleeps. */
  correlationIds?: string[];
}

/** The result of {@link Run.wakeUp}. */
export interface StopSleepResult {
  /** How many sleeps it ended. */
  stoppedCount: number;
}

/** A stream of a run, with the index of its last chunk. */
export type WorkflowReadableStream<R = any> = ReadableStream<R> & {
  /** The index of the last chunk that has been written, -1 when there is none. */
  getTailIndex(): Promise<number>;
};

/** Options of {@link Run.getReadable}. */
export interface WorkflowReadableStreamOptions {
  /** The namespace of the stream, as in `getWritable({ namespace })`. */
  namespace?: string;
  /** The first chunk to read; a negative index counts from the end of the present chunks. */
  startIndex?: number;
  /** Receives promises of background work, for a platform's `waitUntil`. */
  ops?: Promise<any>[];
  /** The global object whose classes the values get. Default: `globalThis`. */
  global?: Record<string, any>;
}
