/** Line 5's serializer: the SDK's own, bundled. */
import type { CryptoKey, StartOptions, WorkflowRun, World } from '../../../index';
import type {
  ArgumentsTarget,
  Creation,
  PayloadTarget,
  ReadableSource,
  Serializer,
  WritableTarget,
} from '../line';
import { throwWithoutPayload } from '../payload-errors';
import { commonParts } from '../sdk-parts';
import { creationOf } from './creation';

type Sdk = typeof import('./sdk');

let loaded: Sdk | undefined;

const { capabilitiesOf, decrypted, hydrateMetadata, hydrateReturnValue } = commonParts(load);

/** The symbols by which the SDK knows its keys that are not of Web Crypto. */
const KEY_BRANDS = ['sealTarget', 'runKeys'].map((name) =>
  Symbol.for(`workflow.serialization.${name}`),
);

/** The first spec version whose payloads may be compressed. */
const COMPRESSING = 5;

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
  const { supportedFormats, framedByteStreams } = capabilitiesOf(target.coreVersion);
  const encrypts = supportedFormats.has(sdk.SerializationFormat.ENCRYPTED);
  const compresses =
    Number(target.specVersion) >= COMPRESSING && supportedFormats.has(sdk.SerializationFormat.GZIP);
  const pushes: Promise<void>[] = [];
  const dehydrate = () =>
    sdk.dehydrateStepReturnValue(
      payload,
      target.runId,
      (encrypts ? target.key : undefined) as never,
      pushes,
      globalThis as never,
      target.v1Compat,
      framedByteStreams,
      compresses,
      undefined,
      uploads as Promise<void>[],
    );
  const dehydrated = await (world ? sdk.inWorld(world, dehydrate) : dehydrate())
    .catch(throwWithoutPayload)
    .finally(() => {
      for (const push of pushes) push.catch(() => undefined);
    });
  await Promise.all(pushes.map((push) => push.catch(throwUnlessEmpty)));
  return dehydrated;
}

/** A webhook's unused stream rejects with nothing. */
function throwUnlessEmpty(error: unknown): void {
  if (error !== undefined) throw error;
}

async function serializedForDigest(
  payload: unknown,
  uploads: Promise<unknown>[],
): Promise<Uint8Array> {
  const sdk = load();
  const serialized = sdk.inWorld(NOWHERE, () =>
    sdk.dehydrateStepReturnValue(payload, '', undefined, uploads as Promise<void>[]),
  );
  return serialized.catch(throwWithoutPayload) as Promise<Uint8Array>;
}

const nothing = async () => undefined;

/** A World that discards its streams. */
const NOWHERE = {
  streams: { write: nothing, close: nothing, get: async () => new ReadableStream() },
} as unknown as World;

async function dehydrateArguments(
  args: unknown[],
  { runId, key, v1Compat, specVersion, isOfThisSdk }: ArgumentsTarget,
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
      isOfThisSdk,
      isOfThisSdk && specVersion >= COMPRESSING,
    ),
  );
  return dehydrated.catch(throwWithoutPayload);
}

/** Serializes an error as the runtime does when a run or a step fails. */
async function dehydrateError(
  error: unknown,
  runId: string,
  key: CryptoKey | undefined,
): Promise<Uint8Array> {
  const bytes = load().dehydrateRunError(error, runId, key as never);
  return bytes.catch(throwWithoutPayload) as Promise<Uint8Array>;
}

/** The value that a run or a step has thrown. */
async function hydrateError(
  error: unknown,
  runId: string,
  key: CryptoKey | undefined,
): Promise<unknown> {
  return load().hydrateRunError(error as never, runId, key as never);
}

function expiryOf({ runId, status, expiredAt }: WorkflowRun): Error | undefined {
  if (!expiredAt || expiredAt > new Date()) return undefined;
  const ended = status === 'completed' ? status : `is ${status}`;
  const message = `Run "${runId}" ${ended}, but its data expired at ${expiredAt.toISOString()} and is no longer readable.`;
  return new (load().RunExpiredError)(message, runId, status, expiredAt);
}

async function failureOf(
  { runId, error, errorCode }: WorkflowRun,
  key: CryptoKey | undefined,
  world: World,
): Promise<Error> {
  const sdk = load();
  const thrown = await sdk
    .inWorld(world, () => hydrateError(error, runId, key))
    // The SDK's own words for a value that cannot be read here.
    .catch(() => new Error('Failed to hydrate workflow run error'));
  return new sdk.WorkflowRunFailedError(runId, thrown, { errorCode } as never);
}

function openReadable(source: ReadableSource, world: World): ReadableStream<unknown> {
  const { runId, name, key, startIndex, ops = [], global = globalThis } = source;
  const sdk = load();
  const reader = sdk
    .getRunReadableStream(
      global as never,
      ops as Promise<void>[],
      runId,
      name,
      startIndex,
      key as never,
    )
    .getReader();
  // The SDK's stream looks for its World at the first read, which happens in the context of whoever reads.
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await sdk.inWorld(world, () => reader.read());
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => sdk.inWorld(world, () => reader.cancel(reason)),
    },
    // Nothing is read before the caller reads.
    { highWaterMark: 0 },
  );
}

function openWritable(target: WritableTarget, world: World): WritableStream<unknown> {
  const { runId, name, run, ops = [], global = globalThis } = target;
  const sdk = load();
  const { createForwardedWritable, getForwardedWritableEncryptionKey } = sdk;
  let key: Promise<unknown> | undefined;
  const resolveKey = async () => {
    const { deploymentId, encryptionPublicKey } = await run();
    sdk.tagForwardedWritableTarget(writable, { deploymentId, encryptionPublicKey });
    return getForwardedWritableEncryptionKey(runId, deploymentId, encryptionPublicKey);
  };
  const writable: WritableStream<unknown> = sdk.inWorld(world, () =>
    createForwardedWritable({
      global: global as never,
      ops: ops as Promise<void>[],
      runId,
      name,
      key: (() => {
        key ??= sdk.inWorld(world, resolveKey);
        return key;
      }) as never,
    } as never),
  );
  return writable;
}

/** Loads the bundled serializer at the first call; importing this package does not load it. */
function load(currentWorld?: () => World): Sdk {
  loaded ??= require('./sdk') as Sdk;
  if (currentWorld) loaded.useWorld(currentWorld);
  return loaded;
}

/** What each function does: `Serializer`. */
export const serializer = {
  coreVersion: () => load().version,
  importKey: async (raw) => (await load().deriveRunPayloadKeys(raw)) as unknown as CryptoKey,
  isKey: (value) => KEY_BRANDS.some((brand) => brand in value),
  async publicKeyOf(raw) {
    const sdk = load();
    return sdk.bytesToBase64((await sdk.deriveRunKeyPair(raw as never)).publicKey);
  },
  dehydratePayload,
  dehydratePlain: (payload) => load().dehydratePlain(payload),
  serializedForDigest,
  decrypted,
  hydrateMetadata,
  dehydrateArguments,
  hydrateReturnValue,
  dehydrateError,
  hydrateError,
  expiryOf,
  failureOf,
  async errorMessage(error, runId, key) {
    const thrown = await hydrateError(error, runId, key);
    return thrown instanceof Error ? thrown.message : String(thrown);
  },
  openReadable,
  openWritable,
  creationOf: (options: StartOptions, specVersion: number): Creation =>
    creationOf(load(), options, specVersion),
  runtimeError: (message, slug) => new (load().WorkflowRuntimeError)(message, { slug } as never),
} satisfies Serializer & Record<string, unknown>;
