/** Limits that users may name. */

/** How long an idempotency key is remembered unless the call says otherwise: seven days. */
export const IDEMPOTENCY_WINDOW_MS = 7 * 24 * 60 * 60 * 1000;
