/** Errors of a serializer. */

/** Removes the payload from the serializer's error, because callers log errors. */
export function withoutPayload(error: unknown): unknown {
  const cause = (error as { cause?: { root?: unknown; value?: unknown } } | undefined)?.cause;
  if (cause !== null && typeof cause === 'object') {
    delete cause.root;
    delete cause.value;
  }
  return error;
}
