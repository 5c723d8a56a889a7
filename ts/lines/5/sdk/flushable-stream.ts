/**
 * Replaces the SDK's `flushable-stream.js` inside the bundle.
 *
 * When the SDK's pipe fails, it leaves its sink open. A reader on the other side of the sink, such
 * as `Run.getReadable()` or the answer of a manual webhook, would then wait for ever.
 */
import { flushablePipe as pipe } from '@workflow/core-5/flushable-stream.js';

export * from '@workflow/core-5/flushable-stream.js';

/** The SDK's pipe, which aborts its sink when it fails. */
export const flushablePipe: typeof pipe = async (source, sink, state) => {
  try {
    await pipe(source, sink, state);
  } catch (error) {
    // The sink may have failed already.
    await sink.abort(error).catch(() => undefined);
    throw error;
  }
};
