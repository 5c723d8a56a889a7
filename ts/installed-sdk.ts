/**
 * Which version of the Workflow SDK the app has, as its package says it.
 *
 * Imports nothing, because `hookline/next` is also bundled for the edge runtime: Node is asked for
 * its modules when a function runs.
 */

/** The versions of the SDK that this package speaks: this one and later ones of its line. */
const SDK_SUPPORTED = [4, 8, 9] as const;

/** The same, for people. */
export const SUPPORTED_SDK = `${SDK_SUPPORTED.join('.')} and later 4.x versions`;

/** What an installation lacks, and what to do about it; each a sentence without its full stop. */
export interface Shortcoming {
  found: string;
  fix: string;
}

/** A package as the app in the working directory has it. */
export interface Installed {
  version: string;
  /** The folder of the package. */
  folder: string;
}

/**
 * The package that the app has under a name; `undefined` when there is none, as in a server whose
 * dependencies were bundled into it.
 */
export function installed(name: string): Installed | undefined {
  const { createRequire } = process.getBuiltinModule('node:module');
  const { readFileSync } = process.getBuiltinModule('node:fs');
  const { join } = process.getBuiltinModule('node:path');
  // From the working directory: that is where the SDK looks for its World.
  const { resolve } = createRequire(join(process.cwd(), 'index.js'));
  for (const modules of resolve.paths(name) ?? []) {
    const folder = join(modules, name);
    try {
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      return { version: String(manifest.version), folder };
    } catch {
      // Not in this one.
    }
  }
  return undefined;
}

/** Why the SDK that the app has cannot be used; `undefined` when it can, or is not seen. */
export function unsupportedSdk(): Shortcoming | undefined {
  const sdk = installed('workflow');
  if (!sdk || isSupported(sdk.version)) return undefined;
  return {
    found: `workflow ${sdk.version} in ${sdk.folder} is not supported: this version of hookline works with ${SUPPORTED_SDK}`,
    fix: 'Install one: npm install workflow@4',
  };
}

/** What to do when there is no SDK where there should be one. */
export function missingSdk(): Shortcoming | undefined {
  if (installed('workflow')) return undefined;
  return {
    found: `The package \`workflow\` is not installed in ${process.cwd()}`,
    fix: 'Run this in the folder of the app, or install it: npm install workflow@4',
  };
}

/** Both as one text, as an error has it. */
export function messageOf({ found, fix }: Shortcoming): string {
  return `${found}. ${fix}`;
}

/** What has no version, such as a folder of a workspace, is not judged. */
function isSupported(version: string): boolean {
  if (!/^\d+\.\d+\.\d+/.test(version)) return true;
  return isAtLeast(version, SDK_SUPPORTED) && Number(version.split('.')[0]) === SDK_SUPPORTED[0];
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
