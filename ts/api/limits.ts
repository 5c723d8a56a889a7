/** Limits that users may name. */

/** For how many milliseconds an idempotency key is kept by default: seven days. */
export const IDEMPOTENCY_WINDOW_MS = 7 * 24 * 60 * 60 * 1000;
