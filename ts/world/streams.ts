/** Streams: ordered bytes that a run produces, readable while they are being written. */
import type { Engine } from '../engine/engine';
import type { RunId, Streams } from '../lines/line';
import { type NativeReply, type NativeWorld, type PayloadRef, settled } from '../native/binding';
import { invalid } from '../native/errors';
import { copyBytes } from '../native/json';
import { kindOf } from '../native/kind';
import { payloadOf } from '../native/records';
import { paging } from '../native/requests';

/** Chunks of one read; all of them are in memory together. */
const READ_LIMIT = 64;

type Issue = (native: NativeWorld, runId: string) => Promise<NativeReply>;

/** The streams of a World; each line of the SDK calls them by methods of its own. */
export function createStreams(engine: Engine): Streams {
  const inOrder = createIssueOrder(engine);
  let lastReadId = 0;

  return {
    async write(runId, name, given) {
      streamName(name);
      if (!Array.isArray(given)) throw invalid('Stream chunks must be given as an array.');
      // `Array.from` also passes the holes of the array to `toBytes`.
      const chunks = Array.from(given, toBytes);
      if (chunks.length === 0) return;
      await inOrder(name, runId, (native, id) => native.writeStream(name, id, chunks));
    },
    async close(runId, name) {
      await inOrder(streamName(name), runId, (native, id) => native.closeStream(name, id));
    },
    async get(_runId, name, startIndex = 0) {
      streamName(name);
      if (!Number.isSafeInteger(startIndex)) throw invalid('startIndex must be an integer.');
      const isAbsent = engine.isAbsent();
      if (!isAbsent) await engine.connect();
      lastReadId += 1;
      // A negative index counts from the end of the present chunks.
      return liveTail(engine, lastReadId, name, isAbsent ? Math.max(0, startIndex) : startIndex);
    },
    async list(runId) {
      if (typeof runId !== 'string') throw invalid('runId must be a string.');
      const native = await engine.look();
      return (await settled<{ streams: string[] }>(native.listStreams(runId))).json.streams;
    },
    async getChunks(_runId, name, options) {
      const { limit, cursor } = paging({ pagination: options });
      const request = JSON.stringify({ name: streamName(name), limit, cursor });
      const native = await engine.look();
      const { json, bytes } = await settled<NativeChunks>(native.getStreamChunks(request));
      const data = json.data.map(({ index, data }) => ({
        index,
        data: payloadOf(data, bytes) as Uint8Array,
      }));
      return { data, cursor: json.cursor ?? null, hasMore: json.hasMore, done: json.done };
    },
    async getInfo(_runId, name) {
      streamName(name);
      const native = await engine.look();
      const { json } = await settled<{ tailIndex: number; done: boolean }>(
        native.getStreamInfo(name),
      );
      return { tailIndex: json.tailIndex, done: json.done };
    },
  };
}

interface NativeChunks {
  data: { index: number; data: PayloadRef }[];
  cursor?: string | null;
  hasMore: boolean;
  done: boolean;
}

/**
 * Keeps the calls for one stream in order, although a run id may be a promise.
 *
 * It keeps only the order in which calls are *issued*: the addon keeps the order from there, and
 * concurrent writes share a commit.
 */
function createIssueOrder(engine: Engine) {
  const lastIssued = new Map<string, Promise<unknown>>();
  return async (name: string, runId: RunId, issue: Issue): Promise<void> => {
    const before = lastIssued.get(name);
    const issued = (async () => {
      // Both are awaited at once, so that a rejected run id is never unhandled.
      const [native, id] = await Promise.all([engine.connect(), runId, before]);
      if (typeof id !== 'string') throw invalid('runId must be a string.');
      // The reply is in an object, because returning the promise itself would await the commit.
      return { reply: issue(native, id) };
    })();
    const place = issued.then(
      () => undefined,
      () => undefined,
    );
    lastIssued.set(name, place);
    try {
      const { reply } = await issued;
      await settled(reply);
    } finally {
      if (lastIssued.get(name) === place) lastIssued.delete(name);
    }
  };
}

/**
 * A stream of the chunks from `start` on, which waits for more until the stream is closed or the
 * reader cancels.
 */
function liveTail(
  engine: Engine,
  readId: number,
  name: string,
  start: number,
): ReadableStream<Uint8Array> {
  let from = start;
  let native: NativeWorld | undefined;
  const cancelled = new AbortController();

  /** Enqueues the chunks that have arrived; returns whether that satisfies one pull. */
  async function pullOnce(controller: ReadableStreamDefaultController<Uint8Array>) {
    native ??= await engine.appearance(cancelled.signal);
    // A read that no one needs would keep the process alive.
    if (!native || cancelled.signal.aborted) return true;
    const request = JSON.stringify({ readId, name, from, limit: READ_LIMIT });
    const { json, bytes } = await settled<{ chunks: PayloadRef[]; next: number; done: boolean }>(
      native.readStream(request),
    );
    if (cancelled.signal.aborted) return true;
    from = json.next;
    let enqueued = false;
    for (const chunk of json.chunks) {
      const data = payloadOf(chunk, bytes) as Uint8Array;
      // An empty chunk has an index but no bytes, and a byte stream would reject it.
      if (data.length === 0) continue;
      controller.enqueue(data);
      enqueued = true;
    }
    if (json.done) controller.close();
    return enqueued || json.done;
  }

  const source: UnderlyingDefaultSource<Uint8Array> = {
    async pull(controller) {
      while (!(await pullOnce(controller)));
    },
    cancel() {
      cancelled.abort();
      native?.stopReadingStream(readId);
    },
  };
  // No read-ahead: without a reader the stream must not wait for chunks, because that would keep a
  // script alive.
  return new ReadableStream(source, { highWaterMark: 0 });
}

function streamName(name: unknown): string {
  if (typeof name !== 'string' || name === '') throw invalid('A stream name must be a string.');
  return name;
}

/**
 * Copies the bytes of a chunk, because the chunk crosses later and the caller may reuse its buffer.
 */
function toBytes(chunk: unknown): Uint8Array {
  if (typeof chunk === 'string') return new TextEncoder().encode(chunk);
  if (!ArrayBuffer.isView(chunk)) {
    throw invalid(`A stream chunk must be a string or a Uint8Array, but is ${kindOf(chunk)}.`);
  }
  try {
    return copyBytes(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  } catch {
    throw invalid('A stream chunk has no bytes any more: its buffer was transferred elsewhere.');
  }
}
