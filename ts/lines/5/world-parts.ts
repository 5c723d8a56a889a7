/** What SDK 5.x calls on a World, and other lines do not. */
import type { WorldParts } from '../line';

/** The streams by their run, what the World can do, and the way of deliveries in a bundled server. */
export function worldParts({ streams, abilities, registerRoute }: WorldParts) {
  const { write, close, get, list, getChunks, getInfo } = streams;
  return {
    streams: {
      write: (runId: string, name: string, chunk: string | Uint8Array) =>
        write(runId, name, [chunk]),
      writeMulti: write,
      close,
      get,
      list,
      getChunks,
      getInfo,
    },
    get capabilities() {
      const { resumesOnce, routesReleases } = abilities();
      return {
        hookResumeDedup: resumesOnce,
        hookRetention: { active: true },
        deploymentAffinity: routesReleases,
      };
    },
    registerHandler: registerRoute,
  };
}
