/**
 * Serializes and deserializes payloads with the SDK's own serializer for the SDK line of the run.
 */
import type { CryptoKey, World } from '../../index';

type Sdk = typeof import('./4');

let loaded: Sdk | undefined;

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
  /** Whether the hook is of the first spec version, whose payloads are plain values. */
  v1Compat: boolean;
  /** Ignored when the run's SDK cannot decrypt. */
  key: CryptoKey | undefined;
}

/**
 * Serializes a hook payload for the run that will read it: bytes, or with `v1Compat` a plain value.
 *
 * Uploads of streams within the payload are pushed to `uploads`, even if serialization then fails,
 * so that the caller can always watch over them. They go to `world`; the default is the current
 * World.
 *
 * @throws the SDK's `WorkflowRuntimeError` for a value that cannot be serialized.
 */
export async function dehydratePayload(
  payload: unknown,
  target: PayloadTarget,
  uploads: Promise<unknown>[],
  currentWorld: () => World,
  world?: World,
): Promise<unknown> {
  const sdk = load(currentWorld);
  const plain = target.v1Compat || target.key ? undefined : sdk.dehydratePlain(payload);
  if (plain) return plain;
  const capabilities = capabilitiesOf(sdk, target.coreVersion);
  const encrypts = capabilities.supportedFormats.has(sdk.SerializationFormat.ENCRYPTED);
  const dehydrate = () =>
    sdk.dehydrateStepReturnValue(
      payload,
      target.runId,
      (encrypts ? target.key : undefined) as never,
      uploads as Promise<void>[],
      globalThis as never,
      target.v1Compat,
      capabilities.framedByteStreams,
    );
  const dehydrated = world ? sdk.inWorld(world, dehydrate) : dehydrate();
  return dehydrated.catch((error: unknown) => {
    throw withoutPayload(error);
  });
}

/** Removes the payload from the serializer's error, because callers log errors. */
function withoutPayload(error: unknown): unknown {
  const cause = (error as { cause?: { root?: unknown; value?: unknown } } | undefined)?.cause;
  if (cause !== null && typeof cause === 'object') {
    delete cause.root;
    delete cause.value;
  }
  return error;
}

/**
 * Serializes a payload for comparisons: as plain bytes, for no run. Streams within the payload are
 * discarded; then `uploads` is not empty.
 *
 * @throws the SDK's `WorkflowRuntimeError` for a value that cannot be serialized.
 */
export async function serializedForDigest(
  payload: unknown,
  uploads: Promise<unknown>[],
): Promise<Uint8Array> {
  const sdk = load();
  const serialized = sdk.inWorld(NOWHERE, () =>
    sdk.dehydrateStepReturnValue(
      payload,
      '',
      undefined,
      uploads as Promise<void>[],
      globalThis as never,
    ),
  );
  return serialized.catch((error: unknown) => {
    throw withoutPayload(error);
  }) as Promise<Uint8Array>;
}

const nothing = async () => undefined;

/** A World that discards its streams. */
const NOWHERE = {
  writeToStream: nothing,
  writeToStreamMulti: nothing,
  closeStream: nothing,
  readFromStream: async () => new ReadableStream(),
} as unknown as World;

type Capabilities = ReturnType<Sdk['getRunCapabilities']>;

/** Comparing versions costs more than the rest of a small payload, and there are few of them. */
const knownCapabilities = new Map<unknown, Capabilities>();
const KNOWN_VERSIONS_MAX = 100;

function capabilitiesOf(sdk: Sdk, coreVersion: unknown): Capabilities {
  const known = knownCapabilities.get(coreVersion);
  if (known) return known;
  const version = typeof coreVersion === 'string' ? coreVersion : undefined;
  const capabilities = sdk.getRunCapabilities(version);
  if (knownCapabilities.size < KNOWN_VERSIONS_MAX) knownCapabilities.set(version, capabilities);
  return capabilities;
}

/** Deserializes a hook's metadata into the value that the workflow passed to `createHook()`. */
export async function hydrateMetadata(
  metadata: unknown,
  runId: string,
  key: CryptoKey | undefined,
  currentWorld: () => World,
): Promise<unknown> {
  return load(currentWorld).hydrateStepArguments(metadata as never, runId, key as never);
}

/** The run that the arguments are serialized for, before it is started. */
export interface ArgumentsTarget {
  runId: string;
  key: CryptoKey | undefined;
  v1Compat: boolean;
  /** Whether byte streams within the arguments are framed. */
  framed: boolean;
}

/**
 * Serializes the arguments of a workflow; uploads as in {@link dehydratePayload}.
 *
 * @throws the SDK's `WorkflowRuntimeError` for a value that cannot be serialized.
 */
export async function dehydrateArguments(
  args: unknown[],
  { runId, key, v1Compat, framed }: ArgumentsTarget,
  uploads: Promise<unknown>[],
  world: World,
): Promise<unknown> {
  const sdk = load();
  const dehydrated = sdk.inWorld(world, () =>
    sdk.dehydrateWorkflowArguments(
      args,
      runId,
      key as never,
      uploads as Promise<void>[],
      globalThis as never,
      v1Compat,
      framed,
    ),
  );
  return dehydrated.catch((error: unknown) => {
    throw withoutPayload(error);
  });
}

/** Deserializes the return value of a run. */
export async function hydrateReturnValue(
  output: unknown,
  runId: string,
  key: CryptoKey | undefined,
  world: World,
): Promise<unknown> {
  const sdk = load();
  return sdk.inWorld(world, () =>
    sdk.hydrateWorkflowReturnValue(output as never, runId, key as never),
  );
}

/** Which stream of a run to read, and how. */
export interface ReadableSource {
  runId: string;
  name: string;
  /** Called when there is something to decrypt. */
  key: () => Promise<CryptoKey | undefined>;
  startIndex?: number;
  ops?: Promise<unknown>[];
  global?: Record<string, unknown>;
}

/** A stream of the values that a run writes, as they arrive. */
export function openReadable(source: ReadableSource, world: World): ReadableStream<unknown> {
  const { runId, name, key, startIndex, ops = [], global = globalThis } = source;
  const sdk = load();
  return sdk.inWorld(world, () =>
    sdk
      .getExternalRevivers(global as never, ops as Promise<void>[], runId, key as never)
      .ReadableStream({ name, startIndex } as never),
  );
}

/** The version of the bundled SDK, which is stored with each run that we start. */
export function coreVersion(): string {
  return load().version;
}

/** Makes a run's key for the serializer from its 32 bytes. */
export async function importKey(raw: Uint8Array): Promise<CryptoKey> {
  return (await load().importKey(raw as never)) as CryptoKey;
}

/** Loads the bundled serializer at the first call; importing this package does not load it. */
function load(currentWorld?: () => World): Sdk {
  loaded ??= require('./4') as Sdk;
  if (currentWorld) loaded.useWorld(currentWorld);
  return loaded;
}
