/** `hookline/testing` as a user without the newest `lib` compiles it. */
import { createTestWorld } from 'hookline/testing';

export async function closed(): Promise<Date> {
  await using world = createTestWorld();
  return world.now();
}
