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
  const { join } = process.getBuiltinModule('node:path');
  // From the working directory: that is where the SDK looks for its World.
  const { resolve } = createRequire(join(process.cwd(), 'index.js'));
  for (const modules of resolve.paths(name) ?? []) {
    const found = packageAt(join(modules, name));
    if (found) return found;
  }
  return undefined;
}

function packageAt(folder: string): Installed | undefined {
  const { join } = process.getBuiltinModule('node:path');
  const manifest = readManifest(join(folder, 'package.json'));
  return manifest && { version: String(manifest.version), folder };
}

/** What the SDK of a process leaves in the global object: 4.x the first, 5.x one of the others too. */
const SDK_HANDLERS_WORLD = Symbol.for('@workflow/world//stubbedCache');
const MARKS_OF_5 = ['getWorldFn', 'cachePromise', 'stubbedCachePromise'].map((name) =>
  Symbol.for(`@workflow/world//${name}`),
);
/** Where `hookline/testing` notes its World, which it also puts where the SDK's would be. */
const TEST_WORLD = Symbol.for('hookline//test-world');

/** What the files say, which are read once for each working directory. */
let read: { cwd: string; sdk: Installed | undefined } | undefined;

/**
 * Why the SDK that the app has cannot be used; `undefined` when it can, or when it is not sure that
 * the one that was found is the app's.
 *
 * `ownFolder` is that of the caller's code, where it has one.
 */
export function unsupportedSdk(ownFolder?: string): Shortcoming | undefined {
  const cwd = process.cwd();
  if (read?.cwd !== cwd) read = { cwd, sdk: unsupportedIn(cwd, ownFolder) };
  const { sdk } = read;
  if (!sdk) return undefined;
  // That one was not loaded: another folder has the app's.
  if (lineOf(sdk.version) !== SDK_SUPPORTED[0] && hasLoadedSupportedLine()) return undefined;
  return {
    found: `workflow ${sdk.version} in ${sdk.folder} is not supported: this version of hookline works with ${SUPPORTED_SDK}`,
    fix: 'Install one: npm install workflow@4',
  };
}

/** The SDK of the app in a folder, when it is not supported, and the app's program has no other. */
function unsupportedIn(cwd: string, ownFolder: string | undefined): Installed | undefined {
  const sdk = importedFrom(cwd);
  if (!sdk || isSupported(sdk.version) || !isOfApp(sdk, cwd)) return undefined;
  // One program of a monorepo may run in the root's folder, and import what its own folder has.
  const elsewhere = [scriptFolder(), ownFolder].map((folder) => folder && importedFrom(folder));
  return elsewhere.some((other) => other && isSupported(other.version)) ? undefined : sdk;
}

/** The SDK that a file in the folder imports; unlike `require`, that looks in no folder of the user. */
function importedFrom(folder: string): Installed | undefined {
  const { join } = process.getBuiltinModule('node:path');
  for (const above of upwards(folder)) {
    const sdk = packageAt(join(above, 'node_modules', 'workflow'));
    if (sdk) return sdk;
  }
  return undefined;
}

/**
 * Whether the app means the SDK that it finds: the `package.json` between them names it, or there is
 * none and it is installed right here. Any other may be there for another app.
 */
function isOfApp(sdk: Installed, cwd: string): boolean {
  const { dirname, join } = process.getBuiltinModule('node:path');
  const root = dirname(dirname(sdk.folder));
  for (const folder of upwards(cwd)) {
    const manifest = readManifest(join(folder, 'package.json'));
    if (manifest) return declares(manifest, 'workflow');
    if (folder === root) break;
  }
  return root === cwd;
}

/** The folder of the program that runs; `undefined` for `node -e`. */
function scriptFolder(): string | undefined {
  const { realpathSync } = process.getBuiltinModule('node:fs');
  const { dirname } = process.getBuiltinModule('node:path');
  try {
    return process.argv[1] && dirname(realpathSync(process.argv[1]));
  } catch {
    return undefined;
  }
}

/** Whether this process has loaded an SDK of the line that is supported. */
function hasLoadedSupportedLine(): boolean {
  const globals = globalThis as { [SDK_HANDLERS_WORLD]?: unknown };
  const isOurs = TEST_WORLD in globals && globals[TEST_WORLD] !== undefined;
  if (!globals[SDK_HANDLERS_WORLD] || isOurs) return false;
  return !MARKS_OF_5.some((mark) => mark in globals);
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

/** What of a `package.json` is looked at. */
export interface Manifest {
  name?: unknown;
  version?: unknown;
}

/** A `package.json`; `undefined` when there is none that can be read. */
export function readManifest(path: string): Manifest | undefined {
  const { readFileSync } = process.getBuiltinModule('node:fs');
  try {
    const manifest = JSON.parse(readFileSync(path, 'utf8'));
    return typeof manifest === 'object' && manifest !== null ? manifest : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a package says that it uses another one. */
export function declares(manifest: Manifest, name: string): boolean {
  const { dependencies, devDependencies, optionalDependencies, peerDependencies } =
    manifest as Record<string, object | undefined>;
  return [dependencies, devDependencies, optionalDependencies, peerDependencies].some(
    (names) => names && Object.hasOwn(names, name),
  );
}

/** A folder and those above it, the nearest first. */
export function* upwards(folder: string): Generator<string> {
  const { dirname } = process.getBuiltinModule('node:path');
  for (let at = folder, below = ''; at !== below; at = dirname(at)) {
    yield at;
    below = at;
  }
}

function lineOf(version: string): number {
  return Number(version.split('.')[0]);
}

/** Whether the SDK can be used; what has no version, such as a folder of a workspace, is not judged. */
export function isSupported(version: string): boolean {
  if (!/^\d+\.\d+\.\d+/.test(version)) return true;
  return isAtLeast(version, SDK_SUPPORTED) && lineOf(version) === SDK_SUPPORTED[0];
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
