/**
 * The entry of `dist/sdk-4.js`: the parts of SDK 4.x that this package needs, bundled by
 * `scripts/build-js.mjs`.
 *
 * Only the SDK can serialize payloads (class instances, streams, `Request`, step references). The
 * SDK is ESM, which plain Jest cannot load from `node_modules`. So this package contains the SDK's
 * serializer as CommonJS. Only `serializer.ts` may import this folder, and loads it at the
 * first use.
 */
export { getRunCapabilities } from '@workflow/core/capabilities';
export { importKey } from '@workflow/core/encryption';
export {
  dehydrateStepReturnValue,
  dehydrateWorkflowArguments,
  getExternalRevivers,
  hydrateStepArguments,
  hydrateWorkflowReturnValue,
  SerializationFormat,
} from '@workflow/core/serialization';
export { version } from '@workflow/core/version';
export { dehydratePlain } from './plain';
export { inWorld, useWorld } from './world';
