/**
 * Replaces the SDK's `telemetry.js` inside the bundle: the serializer records details on the active
 * span, for which it would import a package that an app need not have.
 */

/** No span. */
export async function getActiveSpan(): Promise<undefined> {}

/** No kind of span. */
export async function getSpanKind(): Promise<undefined> {}

/** Records nothing. */
export async function recordElapsedSpan(): Promise<void> {}
