/**
 * The entry of `dist/sdk-4.js`: the parts of SDK 4.x that this package needs, bundled by
 * `scripts/build-js.mjs`.
 *
 * Only the SDK can serialize payloads (class instances, streams, `Request`, step references). The
 * SDK is ESM, which plain Jest cannot load from `node_modules`. So this package contains the SDK's
 * serializer as CommonJS. Only `serializer.ts` may import this folder, and loads it at the
 * first use.
 */
import { encodeWithFormatPrefix, SerializationFormat } from '@workflow/core/serialization';
import { plainText } from '../../sdk/plain';

export { getRunCapabilities } from '@workflow/core/capabilities';
export { importKey } from '@workflow/core/encryption';
export {
  dehydrateStepReturnValue,
  dehydrateWorkflowArguments,
  getExternalRevivers,
  hydrateStepArguments,
  hydrateWorkflowReturnValue,
  maybeDecrypt,
  SerializationFormat,
} from '@workflow/core/serialization';
export { version } from '@workflow/core/version';
export { inWorld, useWorld } from './world';

/** {@link plainText}, as bytes of the SDK. */
export function dehydratePlain(value: unknown): Uint8Array | undefined {
  const text = plainText(value);
  if (text === undefined) return undefined;
  const bytes = new TextEncoder().encode(text);
  return encodeWithFormatPrefix(SerializationFormat.DEVALUE_V1, bytes) as Uint8Array;
}
