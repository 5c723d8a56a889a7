/** Warnings of the process, each once. */

/** The warnings that were given. It is global, because bundlers may evaluate this module twice. */
const SAID = Symbol.for('hookline//said');

/**
 * Warns with a code of ours, unless this process has warned of the same before. Returns whether it
 * warned.
 */
export function sayOnce(code: string, message: string, of = message): boolean {
  const globals = globalThis as { [SAID]?: Set<string> };
  globals[SAID] ??= new Set();
  if (globals[SAID].has(of)) return false;
  globals[SAID].add(of);
  process.emitWarning(message, { type: 'HooklineWarning', code });
  return true;
}
