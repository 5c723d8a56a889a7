/**
 * The same functions in a process that was given another World on purpose: the app's own SDK does
 * the work on that World. So an import that was replaced by ours does no harm there.
 */
import type {
  CancelRunOptions,
  Hook,
  Run as PublicRun,
  ResumeHookOptions,
  RunStatus,
  StopSleepOptions,
  StopSleepResult,
  WorkflowReadableStream,
  WorkflowReadableStreamOptions,
  WorkflowRunWritableStreamOptions,
} from '../../index';
import { WorkflowRuntimeError } from '../native/errors';
import { type SdkApi, sdkApi } from '../setup/sdk-api';
import { needsHookline } from '../setup/target-world';

/** `resumeHook` of the SDK. */
export async function resumeElsewhere(
  tokenOrHook: string | Hook,
  payload: unknown,
  { encryptionKey, idempotencyKey }: ResumeHookOptions,
): Promise<Hook> {
  if (idempotencyKey !== undefined) throw needsHookline('The idempotencyKey of resumeHook()');
  const sdk = await sdkApi();
  return (await sdk.resumeHook(tokenOrHook as never, payload, encryptionKey as never)) as Hook;
}

/** `getHookByToken` of the SDK. */
export async function hookElsewhere(token: string): Promise<Hook> {
  return (await (await sdkApi()).getHookByToken(token)) as Hook;
}

/** `resumeWebhook` of the SDK, which cannot limit how long it waits. */
export async function resumeWebhookElsewhere(
  token: string,
  request: Request,
  timeout: number | undefined,
): Promise<Response> {
  if (timeout !== undefined) throw needsHookline('The timeout of resumeWebhook()');
  return (await sdkApi()).resumeWebhook(token, request);
}

/** `start` of the SDK, with the arguments as they were given. */
export async function startElsewhere(
  ...given: [workflow: unknown, argsOrOptions?: unknown, options?: unknown]
): Promise<PublicRun<unknown>> {
  const run = await (await sdkApi()).start(...(given as Parameters<SdkApi['start']>));
  return new SdkRun(run.runId, Promise.resolve(run));
}

/** The run as the SDK shows it. */
type RunOfSdk<TResult> = Omit<PublicRun<TResult>, keyof Writables> & Partial<Writables>;
/** What a run of SDK 4.x lacks. */
type Writables = Pick<PublicRun<unknown>, 'writable' | 'getWritable'>;

/** A run on another World. The SDK is loaded when the object is made, and looks nothing up. */
export class SdkRun<TResult> implements PublicRun<TResult> {
  readonly runId: string;
  readonly #run: Promise<RunOfSdk<TResult>>;

  /** `run` is the SDK's own object. Default: the one for the run with this id. */
  constructor(runId: string, run?: Promise<RunOfSdk<TResult>>) {
    this.runId = runId;
    this.#run = run ?? sdkApi().then((sdk) => sdk.getRun<TResult>(runId));
    // Whoever uses the object gets the error.
    this.#run.catch(() => undefined);
  }

  get exists(): Promise<boolean> {
    return this.#run.then((run) => run.exists);
  }

  get status(): Promise<RunStatus> {
    return this.#run.then((run) => run.status as Promise<RunStatus>);
  }

  get workflowName(): Promise<string> {
    return this.#run.then((run) => run.workflowName);
  }

  get createdAt(): Promise<Date> {
    return this.#run.then((run) => run.createdAt);
  }

  get startedAt(): Promise<Date | undefined> {
    return this.#run.then((run) => run.startedAt);
  }

  get completedAt(): Promise<Date | undefined> {
    return this.#run.then((run) => run.completedAt);
  }

  get returnValue(): Promise<TResult> {
    return this.#run.then((run) => run.returnValue);
  }

  get readable(): WorkflowReadableStream {
    return this.getReadable();
  }

  getReadable<R = unknown>(options?: WorkflowReadableStreamOptions): WorkflowReadableStream<R> {
    const opened = this.#run.then((run) => run.getReadable<R>(options as never));
    opened.catch(() => undefined);
    let reader: ReadableStreamDefaultReader<R> | undefined;
    const readerOnce = async () => {
      reader ??= (await opened).getReader();
      return reader;
    };
    const stream = new ReadableStream<R>(
      {
        async pull(controller) {
          const { done, value } = await (await readerOnce()).read();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        async cancel(reason) {
          await (await readerOnce()).cancel(reason);
        },
      },
      // Nothing is read before the caller reads, as in the SDK's own stream.
      { highWaterMark: 0 },
    );
    const getTailIndex = async () => (await opened).getTailIndex();
    return Object.assign(stream, { getTailIndex });
  }

  get writable(): WritableStream {
    return this.getWritable();
  }

  getWritable<W = unknown>(options?: WorkflowRunWritableStreamOptions): WritableStream<W> {
    const opened = this.#run.then((run) => {
      if (!run.getWritable) throw new WorkflowRuntimeError('run.getWritable() needs workflow 5.');
      return run.getWritable<W>(options).getWriter();
    });
    opened.catch(() => undefined);
    return new WritableStream<W>({
      write: async (value) => (await opened).write(value),
      close: async () => (await opened).close(),
      abort: async (reason) => (await opened).abort(reason),
    });
  }

  async cancel(options?: CancelRunOptions): Promise<void> {
    await (await this.#run).cancel(options);
  }

  async wakeUp(options?: StopSleepOptions): Promise<StopSleepResult> {
    return (await this.#run).wakeUp(options);
  }
}
