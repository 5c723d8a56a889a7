/** Work that goes on after a call has answered. */

/** Where a serverless platform offers its `waitUntil`. */
const PLATFORM = Symbol.for('@vercel/request-context');

/**
 * Asks a serverless platform to keep the process until the work is done; elsewhere does nothing.
 * The platform gets a copy that never rejects: nobody handles a rejection there.
 */
export function outlivingTheRequest<T>(work: Promise<T>): Promise<T> {
  type Platform = { get?(): { waitUntil?(promise: Promise<unknown>): void } | undefined };
  try {
    const platform = (globalThis as { [PLATFORM]?: Platform })[PLATFORM];
    platform?.get?.()?.waitUntil?.(work.catch(() => undefined));
  } catch {
    // Outside of a request some refuse. The work is under way, and its outcome is what counts.
  }
  return work;
}

/**
 * Streams in a value are uploaded while the run already goes on; a failure is logged, not thrown.
 *
 * @param what - What the streams are part of, for the log.
 * @param where - The ids that the log line names.
 */
export function flushInBackground(
  uploads: Promise<unknown>[],
  what: string,
  where: Record<string, string>,
): void {
  if (uploads.length === 0) return;
  const flushed = Promise.all(uploads).catch((error: unknown) => {
    const name = (error as { name?: unknown } | undefined)?.name;
    // `undefined` is how a webhook's unused response stream ends; the others mean that the client
    // went away.
    if (error === undefined || name === 'AbortError' || name === 'ResponseAborted') return;
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(`[hookline] A stream in ${what} was not uploaded.`, { ...where, reason });
  });
  void outlivingTheRequest(flushed);
}
