/**
 * The entry of `dist/sdk-4.js`: what this package needs of SDK 4.x, bundled by `scripts/build-js.mjs`.
 *
 * Payloads are the SDK's business (class instances, streams, `Request`, step references), and it is
 * ESM, which plain Jest cannot load from `node_modules`; so its serializer travels inside this
 * package, as CommonJS. Nothing else may import this folder: `serialize.ts` loads it when first needed.
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
