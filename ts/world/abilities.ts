/** What this World can do beyond what every line of the SDK needs. */
import { ownRelease } from '../engine/config';
import { isInDeliveryOfAdopted } from '../engine/delivery';
import type { Abilities } from '../lines/line';

/** Asked at each use, because the environment may not be complete when a World is made. */
export function abilities(): Abilities {
  return {
    resumesOnce: true,
    routesReleases: ownRelease() !== undefined && !isInDeliveryOfAdopted(),
  };
}
