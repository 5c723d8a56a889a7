/** Work that continues after a call has returned. */

/** The symbol under which a serverless platform offers its `waitUntil`. */
const PLATFORM = Symbol.for('@vercel/request-context');

/**
 * Asks a serverless platform to keep the process until the work is done; does nothing elsewhere.
 * The platform gets a copy that never rejects, because it handles no rejection.
 */
export function outlivingTheRequest<T>(work: Promise<T>): Promise<T> {
  type Platform = { get?(): { waitUntil?(promise: Promise<unknown>): void } | undefined };
  try {
    const platform = (globalThis as { [PLATFORM]?: Platform })[PLATFORM];
    platform?.get?.()?.waitUntil?.(work.catch(() => undefined));
  } catch {
    // Some platforms refuse this outside of a request. The work continues anyway, and the caller
    // has its outcome.
  }
  return work;
}

/**
 * Watches uploads of streams in a value, while the run already continues; a failure is logged, not
 * thrown.
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
    // A webhook's unused response stream rejects with `undefined`; the other names mean that the
    // client went away.
    if (error === undefined || name === 'AbortError' || name === 'ResponseAborted') return;
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(`[hookline] A stream in ${what} was not uploaded.`, { ...where, reason });
  });
  void outlivingTheRequest(flushed);
}
