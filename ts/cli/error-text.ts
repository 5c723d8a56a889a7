/**
 * The error of a run or a step as a text; `undefined` if it has none. From spec version 6 on, an
 * error is bytes, which only the app's SDK reads.
 */
export function errorText(failing: { error?: unknown; errorCode?: string }): string | undefined {
  const { error, errorCode } = failing;
  if (error === undefined || error === null) return undefined;
  const { message } = error as { message?: unknown };
  if (typeof message === 'string') return message;
  return `${errorCode ?? 'An error'}; its message is in bytes that only the app reads.`;
}
