/** `getRun` and `Run`, as `workflow/api` documents them. */
import type {
  CancelRunOptions,
  Run as PublicRun,
  RunStatus,
  StopSleepOptions,
  StopSleepResult,
  WorkflowReadableStream,
  WorkflowReadableStreamOptions,
  WorkflowRunWritableStreamOptions,
} from '../../index';
import { processWorld } from '../world/world';
import { SdkRun } from './elsewhere';
import { HooklineRun } from './hookline-run';

/** A run that may exist, on whichever World the process has. */
export class Run<TResult> implements PublicRun<TResult> {
  readonly runId: string;
  readonly #run: PublicRun<TResult>;

  /** `run` is the run on its World. Default: the run with this id on the World of the process. */
  constructor(runId: string, run: PublicRun<TResult> = onProcessWorld(runId)) {
    this.runId = runId;
    this.#run = run;
  }

  get exists(): Promise<boolean> {
    return this.#run.exists;
  }

  get status(): Promise<RunStatus> {
    return this.#run.status;
  }

  get workflowName(): Promise<string> {
    return this.#run.workflowName;
  }

  get createdAt(): Promise<Date> {
    return this.#run.createdAt;
  }

  get startedAt(): Promise<Date | undefined> {
    return this.#run.startedAt;
  }

  get completedAt(): Promise<Date | undefined> {
    return this.#run.completedAt;
  }

  get returnValue(): Promise<TResult> {
    return this.#run.returnValue;
  }

  get readable(): WorkflowReadableStream {
    return this.#run.readable;
  }

  getReadable<R = unknown>(options?: WorkflowReadableStreamOptions): WorkflowReadableStream<R> {
    return this.#run.getReadable(options);
  }

  get writable(): WritableStream {
    return this.#run.writable;
  }

  getWritable<W = unknown>(options?: WorkflowRunWritableStreamOptions): WritableStream<W> {
    return this.#run.getWritable(options);
  }

  cancel(options?: CancelRunOptions): Promise<void> {
    return this.#run.cancel(options);
  }

  wakeUp(options?: StopSleepOptions): Promise<StopSleepResult> {
    return this.#run.wakeUp(options);
  }
}

/**
 * Makes an object for the run with this id without a look-up: `await run.exists` tells whether it
 * exists.
 */
export function getRun<TResult>(runId: string): Run<TResult> {
  return new Run(runId);
}

function onProcessWorld<TResult>(runId: string): PublicRun<TResult> {
  const world = processWorld();
  return world ? new HooklineRun(runId, world) : new SdkRun(runId);
}
