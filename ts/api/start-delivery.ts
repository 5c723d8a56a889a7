/** The start line of a server. */
import { isBuilding } from '../setup/building';
import { installedWorld } from '../world/world';

/** See `index.d.ts`. */
export async function startDelivery(): Promise<void> {
  if (isBuilding()) return;
  try {
    await installedWorld()?.start?.();
  } catch (error) {
    // A server that goes on would accept work that nobody does.
    console.error(error);
    process.exit(1);
  }
}
