/** Warnings of the process, each once. */

/**
 * The warnings that this process has given. It is global, because bundlers may evaluate this module
 * several times.
 */
const SAID = Symbol.for('hookline//said');

/** Warns, unless the process has given this warning. */
export function sayOnce(code: string, message: string): void {
  const globals = globalThis as { [SAID]?: Set<string> };
  globals[SAID] ??= new Set();
  if (globals[SAID].has(message)) return;
  globals[SAID].add(message);
  process.emitWarning(message, { type: 'HooklineWarning', code });
}
