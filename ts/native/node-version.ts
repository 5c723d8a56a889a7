/**
 * The versions of Node that run this package, as in `engines` of `package.json`, and Node's own
 * modules.
 *
 * This file imports nothing, because `hookline/next` is also bundled for the edge runtime.
 */

const OLDEST = [20, 17] as const;
/** The oldest of the lines after 20; version 21 has none. */
const OLDEST_AFTER_20 = [22, 3] as const;

/** The supported versions, as advice. */
export const NODE_ADVICE = 'Use Node 22.3 or newer, or 20.17 or newer of its line.';

/** Whether this Node can run the package. */
export function isNodeSupported(version = process.versions.node): boolean {
  return isAtLeast(version, isAtLeast(version, [21]) ? OLDEST_AFTER_20 : OLDEST);
}

/**
 * Throws where Node is too old to run the package: where it lacks the function, because other
 * runtimes have it and give themselves any version of Node.
 */
export function refuseOldNode(): void {
  if (typeof process.getBuiltinModule === 'function') return;
  throw new Error(`hookline does not run on Node ${process.versions.node}. ${NODE_ADVICE}`);
}

/** A module of Node itself, which no bundler sees. */
export function builtin<Name extends keyof Builtins>(name: Name): Builtins[Name] {
  refuseOldNode();
  return process.getBuiltinModule(name) as Builtins[Name];
}

interface Builtins {
  'node:fs': typeof import('node:fs');
  'node:module': typeof import('node:module');
  'node:path': typeof import('node:path');
}

/** Whether a version is this one or a later one; a prerelease counts as what it precedes. */
export function isAtLeast(version: string, least: readonly number[]): boolean {
  const numbers = version.split('-', 1)[0]?.split('.').map(Number) ?? [];
  for (const [index, wanted] of least.entries()) {
    const number = numbers[index] ?? 0;
    if (number !== wanted) return number > wanted;
  }
  return true;
}
