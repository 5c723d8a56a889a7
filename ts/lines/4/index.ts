/** Line 4 of the SDK: 4.8.9 and later. */
import type { Line } from '../line';
import { delivery } from './delivery';
import { serializer } from './serializer';
import { SPEC_VERSION } from './spec-version';
import { streamMethods } from './streams';

/**
 * The SDK leaves this symbol in the global object, also later lines do. `hookline/testing` puts its
 * World there too.
 */
const SDK_HANDLERS_WORLD = Symbol.for('@workflow/world//stubbedCache');
const TEST_WORLD = Symbol.for('hookline//test-world');

/** What this package knows of the line. */
export const line4: Line = {
  major: 4,
  oldest: '4.8.9',
  specVersions: [1, 5],
  specVersion: SPEC_VERSION,
  hostMode: 'client',
  isLoaded() {
    const globals = globalThis as { [SDK_HANDLERS_WORLD]?: unknown; [TEST_WORLD]?: unknown };
    return Boolean(globals[SDK_HANDLERS_WORLD]) && !globals[TEST_WORLD];
  },
  worldParts: ({ streams }) => streamMethods(streams),
  async showMetadata(hook, read) {
    if (hook.metadata !== undefined) hook.metadata = await read();
    return hook;
  },
  resumable: (hook) => hook,
  serializer,
  delivery,
};
