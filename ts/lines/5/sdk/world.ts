/**
 * Replaces the SDK's `runtime/get-world-lazy.js` inside the bundle.
 *
 * The serializer writes and reads payload streams through `getWorldLazy()`, which would return the
 * World of the app's SDK; this module returns the World of this package.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { World } from '../../../../index';

let source: (() => World) | undefined;

/** The World for the present serialization, if it is not the current World. */
const given = new AsyncLocalStorage<World>();

/** Runs `work`, and everything that it starts, with the streams of this World. */
export function inWorld<T>(world: World, work: () => T): T {
  return given.run(world, work);
}

/** Sets the function that returns the World for the serializer's payload streams. */
export function useWorld(current: () => World): void {
  source = current;
}

/** The SDK's serializer calls this. */
export async function getWorldLazy(): Promise<World> {
  const world = given.getStore();
  if (world) return world;
  if (!source) throw new Error('hookline: the serializer has no World yet.');
  return source();
}
