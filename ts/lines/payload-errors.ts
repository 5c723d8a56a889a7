/** Errors of a serializer. */

/** Throws the serializer's error without the payload that it holds, because callers log errors. */
export function throwWithoutPayload(error: unknown): never {
  const cause = (error as { cause?: { root?: unknown; value?: unknown } } | undefined)?.cause;
  if (cause !== null && typeof cause === 'object') {
    delete cause.root;
    delete cause.value;
  }
  throw error;
}
