/**
 * Replaces the SDK's `runtime/world.js` inside the bundle.
 *
 * The serializer writes and reads payload streams through `getWorld()`. The SDK's own module would
 * bundle its other Worlds and choose one of them; this module returns the World of this package.
 */
export { currentWorld as getWorld, inWorld, useWorld } from '../../sdk/current-world';
