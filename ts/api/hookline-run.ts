/** A run on a World of this package; a commit delivers the return value, without polling. */
import type {
  CancelRunOptions,
  Run as PublicRun,
  RunStatus,
  StopSleepOptions,
  StopSleepResult,
  WorkflowReadableStream,
  WorkflowReadableStreamOptions,
  WorkflowRun,
  WorkflowRunWritableStreamOptions,
  World,
} from '../../index';
import { runEnd } from '../engine/awaiting';
import type { Engine } from '../engine/engine';
import { lineOfSpec } from '../lines/table';
import { pointRead, settled } from '../native/binding';
import {
  concise,
  invalid,
  WorkflowRunCancelledError,
  WorkflowRunNotFoundError,
} from '../native/errors';
import { type NativeRecord, toRun } from '../native/records';
import { presentLine } from '../setup/installed-sdk';
import { encryptionKeyOf } from '../world/keys';
import { createStreams } from '../world/streams';
import { whileExpecting } from '../world/vigil';
import { engineOf } from '../world/world';

/** A run that may exist: the object looks nothing up before a property is read. */
export class HooklineRun<TResult> implements PublicRun<TResult> {
  readonly runId: string;
  readonly #world: World;

  /** `world` is the World that the run was started on. */
  constructor(runId: string, world: World) {
    this.runId = runId;
    this.#world = world;
  }

  get exists(): Promise<boolean> {
    return this.#read().then(
      () => true,
      (error) => {
        if (WorkflowRunNotFoundError.is(error)) return false;
        throw error;
      },
    );
  }

  get status(): Promise<RunStatus> {
    return this.#read().then((run) => run.status);
  }

  get workflowName(): Promise<string> {
    return this.#read().then((run) => run.workflowName);
  }

  get createdAt(): Promise<Date> {
    return this.#read().then((run) => run.createdAt);
  }

  get startedAt(): Promise<Date | undefined> {
    return this.#read().then((run) => run.startedAt);
  }

  get completedAt(): Promise<Date | undefined> {
    return this.#read().then((run) => run.completedAt);
  }

  get returnValue(): Promise<TResult> {
    return this.#returnValue();
  }

  get readable(): WorkflowReadableStream {
    return this.getReadable();
  }

  getReadable<R = unknown>(options: WorkflowReadableStreamOptions = {}): WorkflowReadableStream<R> {
    const world = this.#world;
    const { runId } = this;
    const name = streamName(runId, options.namespace);
    // The key is looked up when the first chunk arrives, because a stream without a reader must not
    // fail.
    const key = async () => encryptionKeyOf(world, await world.runs.get(runId));
    const stream = presentLine().serializer.openReadable({ runId, name, key, ...options }, world);
    const getTailIndex = async () =>
      (await createStreams(this.#engine()).getInfo(runId, name)).tailIndex;
    return Object.assign(stream as ReadableStream<R>, { getTailIndex });
  }

  get writable(): WritableStream {
    return this.getWritable();
  }

  getWritable<W = unknown>({ namespace, ...options }: WorkflowRunWritableStreamOptions = {}) {
    const { runId } = this;
    const name = streamName(runId, namespace);
    const run = () => this.#world.runs.get(runId);
    const { serializer } = presentLine();
    const target = { runId, name, run, ...options };
    return serializer.openWritable(target, this.#world) as WritableStream<W>;
  }

  async cancel({ cancelReason }: CancelRunOptions = {}): Promise<void> {
    const { specVersion } = presentLine();
    const eventData = cancelReason === undefined ? undefined : { cancelReason };
    const cancelled = { eventType: 'run_cancelled', specVersion, eventData } as const;
    await this.#world.events.create(this.runId, cancelled);
  }

  async wakeUp(options?: StopSleepOptions): Promise<StopSleepResult> {
    const { runId } = this;
    try {
      const native = await this.#engine().connect();
      const request = JSON.stringify({ runId, correlationIds: options?.correlationIds });
      return (await settled<StopSleepResult>(native.wakeUpRun(request))).json;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`Failed to wake up run ${runId}: ${reason}`, { cause });
    }
  }

  #engine(): Engine {
    const engine = engineOf(this.#world);
    if (typeof this.runId !== 'string') throw invalid('runId must be a string.');
    if (!engine) throw invalid('This World is not a World of hookline.');
    return engine;
  }

  /** The run without its payloads: a point read. */
  async #read(): Promise<WorkflowRun> {
    const native = await this.#engine().look();
    const { json, bytes } = await pointRead<{ run: NativeRecord }>(native.runForResume(this.runId));
    return toRun(json.run, bytes, false);
  }

  async #returnValue(): Promise<TResult> {
    const engine = this.#engine();
    const run = await whileExpecting(engine, runEnd(engine, this.runId));
    if (!run || run.status === 'cancelled')
      throw concise(new WorkflowRunCancelledError(this.runId));
    const { serializer } = lineOfSpec(run.specVersion);
    const expired = serializer.expiryOf(run);
    if (expired) throw concise(expired);
    const key = await encryptionKeyOf(this.#world, run);
    if (run.status === 'failed') {
      throw concise(await serializer.failureOf(run, key, this.#world));
    }
    const value = serializer.hydrateReturnValue(run.output, this.runId, key, this.#world);
    return (await value) as TResult;
  }
}

/** The SDK's name for the stream of a run's `getWritable()`. */
function streamName(runId: string, namespace: string | undefined): string {
  const name = `${runId.replace('wrun_', 'strm_')}_user`;
  return namespace ? `${name}_${Buffer.from(namespace).toString('base64url')}` : name;
}
