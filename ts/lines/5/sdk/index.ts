/**
 * The entry of `dist/sdk-5.js`: the parts of SDK 5.x that this package needs, bundled by
 * `scripts/build-js.mjs`. Only `serializer.ts` may import this folder, and loads it at the first use.
 */
import { importKey } from '@workflow/core-5/encryption.js';
import {
  dehydrateStepReturnValue,
  encodeWithFormatPrefix,
  SerializationFormat,
} from '@workflow/core-5/serialization.js';
import { plainText } from '../../sdk/plain';
import { serializeWith } from './resume-hook';

export { normalizeAttributeChanges } from '@workflow/core-5/attribute-changes.js';
export { getRunCapabilities } from '@workflow/core-5/capabilities.js';
export { importKey } from '@workflow/core-5/encryption.js';
export { getWorkflowVmFromEnv } from '@workflow/core-5/runtime/vm-mode.js';
export {
  bytesToBase64,
  decodeRunPublicKey,
  deriveRunKeyPair,
} from '@workflow/core-5/sealed-box.js';
export {
  createForwardedWritable,
  dehydrateRunError,
  dehydrateStepReturnValue,
  dehydrateWorkflowArguments,
  deriveRunPayloadKeys,
  getForwardedWritableEncryptionKey,
  getRunReadableStream,
  hydrateRunError,
  hydrateStepArguments,
  hydrateWorkflowReturnValue,
  maybeDecrypt,
  SerializationFormat,
  sealTo,
  tagForwardedWritableTarget,
} from '@workflow/core-5/serialization.js';
export { version } from '@workflow/core-5/version.js';
export { RunExpiredError, WorkflowRunFailedError, WorkflowRuntimeError } from '@workflow/errors-5';
export { inWorld, useWorld } from './world';

/** {@link plainText}, as bytes of the SDK. */
export function dehydratePlain(value: unknown): Uint8Array | undefined {
  const text = plainText(value);
  if (text === undefined) return undefined;
  const bytes = new TextEncoder().encode(text);
  return encodeWithFormatPrefix(SerializationFormat.DEVALUE_V1, bytes) as Uint8Array;
}

serializeWith(async (value, runId, world) => {
  const raw = await world.getEncryptionKeyForRun(runId);
  const key = raw && (await importKey(raw as never));
  return dehydrateStepReturnValue(value, runId, key);
});
