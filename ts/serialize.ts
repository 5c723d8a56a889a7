/** Payloads in and out, by the SDK's own serializer for the run's SDK line. */
import type { CryptoKey, World } from '../index';

type Sdk = typeof import('./sdk');

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

/** A payload ready to be stored, and the streams in it that are still being uploaded. */
export interface Dehydrated {
  /** Bytes, or with `v1Compat` a plain value. */
  value: unknown;
}

/**
 * Serializes a hook payload for the run that will read it.
 *
 * Uploads of streams within the payload are pushed to `uploads`, also when this then fails, so that
 * the caller can always watch over them.
 *
 * @throws the SDK's `WorkflowRuntimeError` for a value that cannot be serialized.
 */
export async function dehydratePayload(
  payload: unknown,
  target: PayloadTarget,
  uploads: Promise<unknown>[],
  currentWorld: () => World,
): Promise<Dehydrated> {
  const sdk = load(currentWorld);
  const version = typeof target.coreVersion === 'string' ? target.coreVersion : undefined;
  const capabilities = sdk.getRunCapabilities(version);
  const encrypts = capabilities.supportedFormats.has(sdk.SerializationFormat.ENCRYPTED);
  const value = await sdk.dehydrateStepReturnValue(
    payload,
    target.runId,
    (encrypts ? target.key : undefined) as never,
    uploads as Promise<void>[],
    globalThis as never,
    target.v1Compat,
    capabilities.framedByteStreams,
  );
  return { value };
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

/** Loads the bundled serializer once; importing this package does not. */
function load(currentWorld: () => World): Sdk {
  if (!loaded) {
    loaded = require('./sdk') as Sdk;
    loaded.useWorld(currentWorld);
  }
  return loaded;
}
