/**
 * The World whose streams a bundled serializer writes and reads. Each bundle has its own, in place of the
 * SDK's module that would choose a World.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { World } from '../../../index';

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

/** The World of the present serialization. */
export function currentWorld(): World {
  const world = given.getStore();
  if (world) return world;
  if (!source) throw new Error('hookline: the serializer has no World yet.');
  return source();
}
