/**
 * Finds the version of the Workflow SDK that the app has, in the manifest of the SDK's package.
 *
 * This file imports no module of Node, because `hookline/next` is also bundled for the edge runtime:
 * each function gets Node's modules when it runs.
 */
import { builtin, isAtLeast } from '../native/node-version';

/** The oldest supported version of the SDK; later versions of its line are supported too. */
const SDK_SUPPORTED = [4, 8, 9] as const;

/** The same, for people. */
export const SUPPORTED_SDK = `${SDK_SUPPORTED.join('.')} and later 4.x versions`;

/** What an installation lacks, and how to fix it; each is a sentence without its full stop. */
export interface Shortcoming {
  found: string;
  fix: string;
}

/** A package that the app in the working directory has. */
export interface Installed {
  version: string;
  /** The folder of the package. */
  folder: string;
}

/**
 * Finds the app's package with a name; `undefined` when there is none, as in a server with bundled
 * dependencies.
 */
export function installed(name: string): Installed | undefined {
  const { createRequire } = builtin('node:module');
  const { join } = builtin('node:path');
  // From the working directory, because the SDK looks for its World there.
  const { resolve } = createRequire(join(process.cwd(), 'index.js'));
  for (const modules of resolve.paths(name) ?? []) {
    const found = packageAt(join(modules, name));
    if (found) return found;
  }
  return undefined;
}

function packageAt(folder: string): Installed | undefined {
  const { join } = builtin('node:path');
  const manifest = readManifest(join(folder, 'package.json'));
  return manifest && { version: String(manifest.version), folder };
}

/**
 * The symbols that the SDK of a process leaves in the global object: 4.x leaves the first, 5.x also
 * one of the others.
 */
const SDK_HANDLERS_WORLD = Symbol.for('@workflow/world//stubbedCache');
const MARKS_OF_5 = ['getWorldFn', 'cachePromise', 'stubbedCachePromise'].map((name) =>
  Symbol.for(`@workflow/world//${name}`),
);
/**
 * The symbol under which `hookline/testing` stores its World; it also puts that World in the SDK's
 * place.
 */
const TEST_WORLD = Symbol.for('hookline//test-world');

/** The result of reading the files, once for each working directory. */
let read: { cwd: string; sdk: Installed | undefined } | undefined;

/**
 * Why this package cannot work with the app's SDK; `undefined` when it can, or when the found SDK
 * may belong to another app.
 *
 * `ownFolder` is the folder of the caller's code, if it has one.
 */
export function unsupportedSdk(ownFolder?: string): Shortcoming | undefined {
  const cwd = process.cwd();
  if (read?.cwd !== cwd) read = { cwd, sdk: unsupportedIn(cwd, ownFolder) };
  const { sdk } = read;
  if (!sdk) return undefined;
  // The process has loaded another SDK, from another folder.
  if (lineOf(sdk.version) !== SDK_SUPPORTED[0] && hasLoadedSupportedLine()) return undefined;
  return {
    found: `workflow ${sdk.version} in ${sdk.folder} is not supported: this version of hookline works with ${SUPPORTED_SDK}`,
    fix: 'Install one: npm install workflow@4',
  };
}

/**
 * The SDK of the app in a folder, if that SDK is not supported and the app's program has no other.
 */
function unsupportedIn(cwd: string, ownFolder: string | undefined): Installed | undefined {
  const sdk = importedFrom(cwd);
  if (!sdk || isSupported(sdk.version) || !isOfApp(sdk, cwd)) return undefined;
  // One program of a monorepo may run in the root's folder, and import what its own folder has.
  const elsewhere = [scriptFolder(), ownFolder].map((folder) => folder && importedFrom(folder));
  return elsewhere.some((other) => other && isSupported(other.version)) ? undefined : sdk;
}

/**
 * The SDK that a file in the folder imports; unlike `require`, this does not search the user's
 * global folders.
 */
function importedFrom(folder: string): Installed | undefined {
  const { join } = builtin('node:path');
  for (const above of upwards(folder)) {
    const sdk = packageAt(join(above, 'node_modules', 'workflow'));
    if (sdk) return sdk;
  }
  return undefined;
}

/**
 * Whether the found SDK belongs to the app: the nearest `package.json` names it, or there is no
 * `package.json` and the SDK is installed in this very folder. Any other SDK may belong to another
 * app.
 */
function isOfApp(sdk: Installed, cwd: string): boolean {
  const { dirname, join } = builtin('node:path');
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
  const { realpathSync } = builtin('node:fs');
  const { dirname } = builtin('node:path');
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

/** The error for a missing SDK. */
export function missingSdk(): Shortcoming | undefined {
  if (installed('workflow')) return undefined;
  return {
    found: `The package \`workflow\` is not installed in ${process.cwd()}`,
    fix: 'Run this in the folder of the app, or install it: npm install workflow@4',
  };
}

/** Joins both sentences into the message of an error. */
export function messageOf({ found, fix }: Shortcoming): string {
  return `${found}. ${fix}`;
}

/** The fields of a `package.json` that are read. */
export interface Manifest {
  name?: unknown;
  version?: unknown;
}

/** Reads a `package.json`; `undefined` when it is missing or unreadable. */
export function readManifest(path: string): Manifest | undefined {
  const { readFileSync } = builtin('node:fs');
  try {
    const manifest = JSON.parse(readFileSync(path, 'utf8'));
    return typeof manifest === 'object' && manifest !== null ? manifest : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a package names another one among its dependencies. */
export function declares(manifest: Manifest, name: string): boolean {
  const { dependencies, devDependencies, optionalDependencies, peerDependencies } =
    manifest as Record<string, object | undefined>;
  return [dependencies, devDependencies, optionalDependencies, peerDependencies].some(
    (names) => names && Object.hasOwn(names, name),
  );
}

/** A folder and those above it, the nearest first. */
export function* upwards(folder: string): Generator<string> {
  const { dirname } = builtin('node:path');
  for (let at = folder, below = ''; at !== below; at = dirname(at)) {
    yield at;
    below = at;
  }
}

function lineOf(version: string): number {
  return Number(version.split('.')[0]);
}

/**
 * Whether a version of the SDK is supported. A package without a version, such as a folder of a
 * workspace, counts as supported.
 */
export function isSupported(version: string): boolean {
  if (!/^\d+\.\d+\.\d+/.test(version)) return true;
  return isAtLeast(version, SDK_SUPPORTED) && lineOf(version) === SDK_SUPPORTED[0];
}
