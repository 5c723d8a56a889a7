/** Line 5 of the SDK: 5.0.0-beta.55 and later. */
import type { Line } from '../line';
import { delivery } from './delivery';
import { resumable, showMetadata } from './hooks';
import { serializer } from './serializer';
import { SPEC_VERSION } from './spec-version';
import { worldParts } from './world-parts';

/** The SDK leaves this symbol in the global object when its modules are evaluated. */
const GET_WORLD = Symbol.for('@workflow/world//getWorldFn');

/** What this package knows of the line. */
export const line5: Line = {
  major: 5,
  oldest: '5.0.0-beta.55',
  specVersions: [6, 8],
  specVersion: SPEC_VERSION,
  hostMode: 'step',
  isLoaded: () => GET_WORLD in globalThis,
  worldParts,
  showMetadata,
  resumable,
  serializer,
  delivery,
};
