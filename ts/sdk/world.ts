/**
 * Stands in for the SDK's `runtime/world.js` inside the bundle.
 *
 * The serializer writes and reads payload streams through `getWorld()`. The SDK's own module would
 * bring its other Worlds along and pick one of them; here it is the World of this package.
 */
import type { World } from '../../index';

let source: (() => World) | undefined;

/** Says where the serializer finds the World that its payload streams go to. */
export function useWorld(current: () => World): void {
  source = current;
}

/** What the SDK's serializer calls. */
export function getWorld(): World {
  if (!source) throw new Error('hookline: the serializer was used before it was given a World.');
  return source();
}
