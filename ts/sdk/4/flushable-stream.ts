/**
 * Stands in for the SDK's `flushable-stream.js` inside the bundle.
 *
 * The SDK's pipe that fails leaves its sink as it is. What reads from the other side of that, such as
 * `Run.getReadable()` or the answer of a manual webhook, would then wait for ever.
 */
import { type FlushableState, flushablePipe as pipe } from '@workflow/core/flushable-stream';

export {
  createFlushableState,
  pollReadableLock,
  pollWritableLock,
} from '@workflow/core/flushable-stream';

/** The SDK's pipe; when it fails, so does the sink. */
export async function flushablePipe<T>(
  source: ReadableStream<T>,
  sink: WritableStream<T>,
  state: FlushableState,
): Promise<void> {
  try {
    await pipe(source, sink, state);
  } catch (error) {
    // A sink that has failed already is no news.
    await sink.abort(error).catch(() => undefined);
    throw error;
  }
}
