/** Line 4's methods for streams: a stream comes by its name, then by its run. */
import type { RunId, Streams } from '../line';

/** The methods that SDK 4.x calls on its World. */
export function streamMethods(streams: Streams) {
  return {
    writeToStream: (name: string, runId: RunId, chunk: string | Uint8Array) =>
      streams.write(runId, name, [chunk]),
    writeToStreamMulti: (name: string, runId: RunId, chunks: (string | Uint8Array)[]) =>
      streams.write(runId, name, chunks),
    closeStream: (name: string, runId: RunId) => streams.close(runId, name),
    // A stream has a name of its own in the whole database.
    readFromStream: (name: string, startIndex?: number) => streams.get('', name, startIndex),
    listStreamsByRunId: (runId: string) => streams.list(runId),
    getStreamChunks: (name: string, runId: string, options?: { limit?: number; cursor?: string }) =>
      streams.getChunks(runId, name, options),
    getStreamInfo: (name: string, runId: string) => streams.getInfo(runId, name),
  };
}
