/** Line 4's serializer: the SDK's own, bundled. */
import type { CryptoKey, WorkflowRun, World } from '../../../index';
import { WorkflowRunFailedError, WorkflowRuntimeError } from '../../native/errors';
import type { ArgumentsTarget, PayloadTarget, ReadableSource, Serializer } from '../line';
import { throwWithoutPayload } from '../payload-errors';
import { commonParts } from '../sdk-parts';

type Sdk = typeof import('./sdk');

let loaded: Sdk | undefined;

const { capabilitiesOf, decrypted, hydrateMetadata, hydrateReturnValue } = commonParts(load);

async function dehydratePayload(
  payload: unknown,
  target: PayloadTarget,
  uploads: Promise<unknown>[],
  currentWorld: () => World,
  world?: World,
): Promise<unknown> {
  const sdk = load(currentWorld);
  const plain = target.v1Compat || target.key ? undefined : sdk.dehydratePlain(payload);
  if (plain) return plain;
  const capabilities = capabilitiesOf(target.coreVersion);
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
  return dehydrated.catch(throwWithoutPayload);
}

async function serializedForDigest(
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
  return serialized.catch(throwWithoutPayload) as Promise<Uint8Array>;
}

const nothing = async () => undefined;

/** A World that discards its streams. */
const NOWHERE = {
  writeToStream: nothing,
  writeToStreamMulti: nothing,
  closeStream: nothing,
  readFromStream: async () => new ReadableStream(),
} as unknown as World;

async function dehydrateArguments(
  args: unknown[],
  { runId, key, v1Compat, isOfThisSdk }: ArgumentsTarget,
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
      // Another SDK may not read frames.
      isOfThisSdk,
    ),
  );
  return dehydrated.catch(throwWithoutPayload);
}

function openReadable(source: ReadableSource, world: World): ReadableStream<unknown> {
  const { runId, name, key, startIndex, ops = [], global = globalThis } = source;
  const sdk = load();
  return sdk.inWorld(world, () =>
    sdk
      .getExternalRevivers(global as never, ops as Promise<void>[], runId, key as never)
      .ReadableStream({ name, startIndex } as never),
  );
}

function coreVersion(): string {
  return load().version;
}

async function importKey(raw: Uint8Array): Promise<CryptoKey> {
  return (await load().importKey(raw as never)) as CryptoKey;
}

/** Loads the bundled serializer at the first call; importing this package does not load it. */
function load(currentWorld?: () => World): Sdk {
  loaded ??= require('./sdk') as Sdk;
  if (currentWorld) loaded.useWorld(currentWorld);
  return loaded;
}

async function failureOf({ runId, error }: WorkflowRun): Promise<Error> {
  return new WorkflowRunFailedError(runId, error as never);
}

/** The store keeps errors of this line as objects. */
function messageOf(error: unknown): string | undefined {
  const { message } = (error ?? {}) as { message?: unknown };
  return typeof message === 'string' ? message : undefined;
}

/** What each function does: `Serializer`. */
export const serializer: Serializer = {
  coreVersion,
  importKey,
  isKey: () => false,
  publicKeyOf: async () => undefined,
  dehydratePayload,
  dehydratePlain: (payload) => load().dehydratePlain(payload),
  serializedForDigest,
  decrypted,
  hydrateMetadata,
  dehydrateArguments,
  hydrateReturnValue,
  expiryOf: () => undefined,
  failureOf,
  errorMessage: async (error) => messageOf(error),
  openReadable,
  openWritable() {
    throw new WorkflowRuntimeError('A run of workflow 4.x has no streams for other writers.');
  },
  creationOf: () => ({}),
  runtimeError: (message, slug) => new WorkflowRuntimeError(message, { slug: slug as never }),
};
