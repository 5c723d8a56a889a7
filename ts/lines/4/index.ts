/** Line 4 of the SDK: 4.8.9 and later. */
import type { Line } from '../line';
import { delivery } from './delivery';
import { serializer } from './serializer';
import { SPEC_VERSION } from './spec-version';
import { streamMethods } from './streams';

/**
 * The symbols that the SDK of a process leaves in the global object: 4.x leaves the first, later
 * lines also one of the others. `hookline/testing` puts its World there too.
 */
const SDK_HANDLERS_WORLD = Symbol.for('@workflow/world//stubbedCache');
const TEST_WORLD = Symbol.for('hookline//test-world');
const MARKS_OF_LATER = ['getWorldFn', 'cachePromise', 'stubbedCachePromise'].map((name) =>
  Symbol.for(`@workflow/world//${name}`),
);

/** What this package knows of the line. */
export const line4: Line = {
  major: 4,
  oldest: [4, 8, 9],
  specVersion: SPEC_VERSION,
  isLoaded() {
    const globals = globalThis as { [SDK_HANDLERS_WORLD]?: unknown; [TEST_WORLD]?: unknown };
    if (!globals[SDK_HANDLERS_WORLD] || globals[TEST_WORLD]) return false;
    return !MARKS_OF_LATER.some((mark) => mark in globals);
  },
  worldParts: streamMethods,
  serializer,
  delivery,
};
