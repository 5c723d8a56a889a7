/**
 * Stands in for the SDK's `runtime/world.js` inside the bundle.
 *
 * The serializer writes and reads payload streams through `getWorld()`. The SDK's own module would
 * bring its other Worlds along and pick one of them; here it is the World of this package.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { World } from '../../../index';

let source: (() => World) | undefined;

/** The World of what is being serialized now, where that is another than the current one. */
const given = new AsyncLocalStorage<World>();

/** Runs `work`, and whatever it leaves running, with the streams of this World. */
export function inWorld<T>(world: World, work: () => T): T {
  return given.run(world, work);
}

/** Says where the serializer finds the World that its payload streams go to. */
export function useWorld(current: () => World): void {
  source = current;
}

/** What the SDK's serializer calls. */
export function getWorld(): World {
  const world = given.getStore();
  if (world) return world;
  if (!source) throw new Error('hookline: the serializer has no World yet.');
  return source();
}
