/**
 * A line of the Workflow SDK: one major version, with all that this package must know of it. Each
 * line has a folder; `table.ts` lists them. The other rooms speak the neutral language of this file,
 * and know no line by its number.
 */
import type {
  CryptoKey,
  EventRequest,
  Hook,
  PayloadKey,
  StartOptions,
  WorkflowRun,
  World,
} from '../../index';

/** One line of the SDK. */
export interface Line {
  /** The major version. */
  readonly major: number;
  /** The oldest supported version; later versions of the line are supported too. */
  readonly oldest: string;
  /** The spec versions of the runs that it executes, the oldest and the newest. */
  readonly specVersions: readonly [oldest: number, newest: number];
  /** The spec version of the runs that it starts, and of the events that it writes. */
  readonly specVersion: number;
  /** Whether an SDK of this line, or of a later one, has left its marks in this process. */
  isLoaded(): boolean;
  /** The mode of its compiler for code outside of workflows. */
  readonly hostMode: string;
  /** What its SDK calls on a World, beyond what all lines call by the same names. */
  worldParts(parts: WorldParts): object;
  /** How its SDK's own functions show a hook to a caller; `read` reads its metadata. */
  showMetadata(hook: Hook, read: () => Promise<unknown>): Promise<Hook>;
  /**
   * The hook, so that its SDK resumes it without looking whether its run has ended: the World says
   * so, or that the resume was done before.
   */
  resumable(hook: Hook, run: WorkflowRun): Hook;
  readonly serializer: Serializer;
  readonly delivery: DeliveryRules;
}

/** What a World has for the lines. */
export interface WorldParts {
  streams: Streams;
  abilities(): Abilities;
  /**
   * Takes the handler of the app's route for the queues with this prefix, so that messages are
   * delivered to it within the process.
   */
  registerRoute(prefix: string, route: (request: Request) => Promise<Response>): void;
}

/** What a World can do beyond what every line needs. */
export interface Abilities {
  /** A resume that carries an id happens once. */
  resumesOnce: boolean;
  /** A message goes only to processes of the release of its run. */
  routesReleases: boolean;
}

/** The streams of a World: ordered bytes that a run produces. */
export interface Streams {
  /** Appends chunks together. Calls for one stream keep their order. */
  write(runId: RunId, name: string, chunks: readonly (string | Uint8Array)[]): Promise<void>;
  close(runId: RunId, name: string): Promise<void>;
  /** Reads from a chunk on, and waits for more chunks until the stream is closed. */
  get(runId: string, name: string, startIndex?: number): Promise<ReadableStream<Uint8Array>>;
  /** The names of the streams that a run has written to. */
  list(runId: string): Promise<string[]>;
  /** A page of the present chunks. */
  getChunks(
    runId: string,
    name: string,
    options?: { limit?: number; cursor?: string },
  ): Promise<ChunkPage>;
  /** The index of the last chunk (-1 when there is none), and whether the stream is closed. */
  getInfo(runId: string, name: string): Promise<{ tailIndex: number; done: boolean }>;
}

/** Arguments are serialized while the id of their run is still to come. */
export type RunId = string | Promise<string>;

/** Chunks of a stream. */
export interface ChunkPage {
  data: { index: number; data: Uint8Array }[];
  cursor: string | null;
  hasMore: boolean;
  done: boolean;
}

/** What the code of a line's runtime does in a delivery, and what its errors mean. */
export interface DeliveryRules {
  /** The prefixes of the queues that its handlers take. */
  prefixes(namespace: string | undefined): string[];
  /** The queue that a message goes to, for the name that the SDK gives. */
  queueFor(queueName: string, namespace: string | undefined): string;
  /** Whether this process has loaded the code that the messages of a queue need. */
  isLoadedHere(queueName: string): boolean;
  /**
   * Why the code does not fit a run; `undefined` when an event has any other cause.
   * `keyOf` gives the key of the run.
   */
  misfitOf(event: EventRequest, runId: string, keyOf: KeyOf): Awaitable<string | undefined>;
  /** Whether the next delivery of a message would end with the same error of the runtime. */
  isFinal(error: unknown, message: unknown, queueName: string): boolean;
  /** The event that ends the run or the step of a message; `undefined` when there is none. */
  endOf(
    error: Error,
    message: unknown,
    queueName: string,
    keyOf: KeyOf,
  ): Awaitable<End | undefined>;
}

/** The key of a run, for the serializer of its line; `undefined` when its values are plain. */
export type KeyOf = (runId: string) => Promise<CryptoKey | undefined>;

type Awaitable<T> = T | Promise<T>;

/** The end of a run, or of a step, by an error that will never pass. */
export interface End {
  runId: string;
  event: EventRequest;
  /** For people. */
  reason: string;
}

/**
 * The run that will read a payload: the payload is written in a form that the run's SDK can decode.
 */
export interface PayloadTarget {
  runId: string;
  /**
   * `executionContext.workflowCoreVersion` of the run; any other value means the oldest supported
   * version.
   */
  coreVersion: unknown;
  /** The spec version of the run. */
  specVersion: unknown;
  /** Whether the hook is of the first spec version, whose payloads are plain values. */
  v1Compat: boolean;
  /** Ignored when the run's SDK cannot decrypt. */
  key: PayloadKey | undefined;
}

/** The run that the arguments are serialized for, before it is started. */
export interface ArgumentsTarget {
  runId: string;
  key: CryptoKey | undefined;
  v1Compat: boolean;
  specVersion: number;
  /** Whether the run's code is of this very SDK, so that it can decode what this SDK writes. */
  isOfThisSdk: boolean;
}

/** A stream of a run. */
export interface RunStream {
  runId: string;
  name: string;
  ops?: Promise<unknown>[];
  global?: Record<string, unknown>;
}

/** Which stream of a run to read, and how. */
export interface ReadableSource extends RunStream {
  /** Called when there is something to decrypt. */
  key: () => Promise<CryptoKey | undefined>;
  startIndex?: number;
}

/** Which stream of a run to write to, and how. */
export interface WritableTarget extends RunStream {
  /** Called at the first write. */
  run: () => Promise<WorkflowRun>;
}

/** What the options of a start add to its run. */
export interface Creation {
  eventData?: object;
  executionContext?: object;
}

/**
 * The serializer of the SDK. Uploads of streams that go on after the call are pushed to `uploads`,
 * even if serialization then fails, so that the caller can always watch over them. A value that cannot be
 * serialized is the SDK's `WorkflowRuntimeError`, without the value.
 */
export interface Serializer {
  /** The version of the bundled SDK, which is stored with each run that we start. */
  coreVersion(): string;
  /** Makes a run's key for the serializer from its 32 bytes. */
  importKey(raw: Uint8Array): Promise<CryptoKey>;
  /** Whether a plain object is a key that the SDK has made. */
  isKey(value: object): boolean;
  /** The part of a run's key that other runs may know, as the run shows it. */
  publicKeyOf(raw: Uint8Array): Promise<string | undefined>;
  /**
   * Serializes a hook payload for the run that will read it: bytes, or with `v1Compat` a plain
   * value. Streams go to `world`; the default is the current World.
   */
  dehydratePayload(
    payload: unknown,
    target: PayloadTarget,
    uploads: Promise<unknown>[],
    currentWorld: () => World,
    world?: World,
  ): Promise<unknown>;
  /**
   * Serializes a hook payload of plain data, in the same way for every run without a key; `undefined` for
   * any other payload.
   */
  dehydratePlain(payload: unknown): Uint8Array | undefined;
  /**
   * Serializes a payload for comparisons: as plain bytes, for no run. Streams within the payload are
   * discarded; then `uploads` is not empty.
   */
  serializedForDigest(payload: unknown, uploads: Promise<unknown>[]): Promise<Uint8Array>;
  /** The bytes of a payload before it was encrypted; as they are if it was not. */
  decrypted(payload: Uint8Array, key: CryptoKey): Promise<Uint8Array>;
  /** Deserializes a hook's metadata into the value that the workflow passed to `createHook()`. */
  hydrateMetadata(
    metadata: unknown,
    runId: string,
    key: CryptoKey | undefined,
    currentWorld: () => World,
  ): Promise<unknown>;
  /** Serializes the arguments of a workflow. */
  dehydrateArguments(
    args: unknown[],
    target: ArgumentsTarget,
    uploads: Promise<unknown>[],
    world: World,
  ): Promise<unknown>;
  /** Deserializes the return value of a run. */
  hydrateReturnValue(
    output: unknown,
    runId: string,
    key: CryptoKey | undefined,
    world: World,
  ): Promise<unknown>;
  /** The error for a run whose data is gone; `undefined` when it is there. */
  expiryOf(run: WorkflowRun): Error | undefined;
  /** The error of a failed run, as its SDK throws it. */
  failureOf(run: WorkflowRun, key: CryptoKey | undefined, world: World): Promise<Error>;
  /** The message of the error of a run or a step, for people; `undefined` when it has none. */
  errorMessage(
    error: unknown,
    runId: string,
    key: CryptoKey | undefined,
  ): Promise<string | undefined>;
  /** A stream of the values that a run writes, as they arrive. */
  openReadable(source: ReadableSource, world: World): ReadableStream<unknown>;
  /** A sink of values for a stream of a run; nothing is looked up before the first write. */
  openWritable(target: WritableTarget, world: World): WritableStream<unknown>;
  /**
   * Checks the options of a start.
   *
   * @throws the SDK's error for bad options.
   */
  creationOf(options: StartOptions, specVersion: number): Creation;
  /** An error of the SDK with the address of its explanation. */
  runtimeError(message: string, slug: string): Error;
}
