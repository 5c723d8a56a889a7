/** Payloads in and out, by the SDK's own serializer for the run's SDK line. */
import type { CryptoKey, World } from '../../index';

type Sdk = typeof import('./4');

let loaded: Sdk | undefined;

/** What the target run's SDK can decode decides how a payload is written. */
export interface PayloadTarget {
  runId: string;
  /** `executionContext.workflowCoreVersion` of the run; anything but a version means the baseline. */
  coreVersion: unknown;
  /** Whether the hook is of the first spec version, whose payloads are plain values. */
  v1Compat: boolean;
  /** Dropped when the run could not decrypt. */
  key: CryptoKey | undefined;
}

/**
 * Serializes a hook payload for the run that will read it: bytes, or with `v1Compat` a plain value.
 *
 * Uploads of streams within the payload are pushed to `uploads`, also when this then fails, so that
 * the caller can always watch over them. They go to `world`, the current one unless it is given.
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

/** The serializer's error holds the payload and the part that failed; whoever logs it must not. */
function withoutPayload(error: unknown): unknown {
  const cause = (error as { cause?: { root?: unknown; value?: unknown } } | undefined)?.cause;
  if (cause !== null && typeof cause === 'object') {
    delete cause.root;
    delete cause.value;
  }
  return error;
}

/**
 * A payload serialized to be compared with others: as bytes, plain, for no run. Streams within it are
 * read into nothing; `uploads` then holds something.
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

/** A World whose streams go nowhere. */
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

/** The value of a hook's metadata, as the workflow passed it to `createHook()`. */
export async function hydrateMetadata(
  metadata: unknown,
  runId: string,
  key: CryptoKey | undefined,
  currentWorld: () => World,
): Promise<unknown> {
  return load(currentWorld).hydrateStepArguments(metadata as never, runId, key as never);
}

/** What is serialized for a run that is about to be started. */
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

/** The return value of a run, as its workflow returned it. */
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

/** Where a stream of a run is read from. */
export interface ReadableSource {
  runId: string;
  name: string;
  /** Asked for when there is something to decrypt. */
  key: () => Promise<CryptoKey | undefined>;
  startIndex?: number;
  ops?: Promise<unknown>[];
  global?: Record<string, unknown>;
}

/** The values that a run writes to a stream, as they come. */
export function openReadable(source: ReadableSource, world: World): ReadableStream<unknown> {
  const { runId, name, key, startIndex, ops = [], global = globalThis } = source;
  const sdk = load();
  return sdk.inWorld(world, () =>
    sdk
      .getExternalRevivers(global as never, ops as Promise<void>[], runId, key as never)
      .ReadableStream({ name, startIndex } as never),
  );
}

/** The version of the SDK whose serializer this is: what a run that we start can decode. */
export function coreVersion(): string {
  return load().version;
}

/** A run's key for the serializer, from its 32 bytes. */
export async function importKey(raw: Uint8Array): Promise<CryptoKey> {
  return (await load().importKey(raw as never)) as CryptoKey;
}

/** Loads the bundled serializer once; importing this package does not. */
function load(currentWorld?: () => World): Sdk {
  loaded ??= require('./4') as Sdk;
  if (currentWorld) loaded.useWorld(currentWorld);
  return loaded;
}
