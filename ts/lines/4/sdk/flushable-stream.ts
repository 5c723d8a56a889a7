/**
 * Replaces the SDK's `flushable-stream.js` inside the bundle.
 *
 * When the SDK's pipe fails, it leaves its sink open. A reader on the other side of the sink, such
 * as `Run.getReadable()` or the answer of a manual webhook, would then wait for ever.
 */
import { type FlushableState, flushablePipe as pipe } from '@workflow/core/flushable-stream';

export {
  createFlushableState,
  pollReadableLock,
  pollWritableLock,
} from '@workflow/core/flushable-stream';

/** The SDK's pipe, which aborts its sink when it fails. */
export async function flushablePipe<T>(
  source: ReadableStream<T>,
  sink: WritableStream<T>,
  state: FlushableState,
): Promise<void> {
  try {
    await pipe(source, sink, state);
  } catch (error) {
    // The sink may have failed already.
    await sink.abort(error).catch(() => undefined);
    throw error;
  }
}
