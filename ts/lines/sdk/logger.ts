/**
 * Replaces the SDK's `logger.js` inside the bundle.
 *
 * The SDK logs the value that it could not serialize. A payload may be a secret, so this logger
 * drops the value and logs only the message. The thrown error names the path within the value.
 */

type Log = (message: string, metadata?: Record<string, unknown>) => void;

const silent: Log = () => undefined;

/** The one logger that the serializer uses. */
export const runtimeLogger: Record<'debug' | 'info' | 'warn' | 'error', Log> = {
  debug: silent,
  info: silent,
  warn: (message) => console.warn(`[hookline] ${message}`),
  error: (message) => console.error(`[hookline] ${message}`),
};

/** The same, under a name that a module of line 5 imports. */
export const eventsLogger = runtimeLogger;
