/**
 * Replaces the SDK's `runtime/get-world-lazy.js` inside the bundle.
 *
 * The serializer writes and reads payload streams through `getWorldLazy()`, which would return the
 * World of the app's SDK; this module returns the World of this package.
 */
import type { World } from '../../../../index';
import { currentWorld } from '../../sdk/current-world';

export { inWorld, useWorld } from '../../sdk/current-world';

/** The SDK's serializer calls this. */
export async function getWorldLazy(): Promise<World> {
  return currentWorld();
}
