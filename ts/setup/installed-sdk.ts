/**
 * Finds the version of the Workflow SDK that the app has, in the manifest of the SDK's package.
 *
 * This file imports no module of Node, because `hookline/next` is also bundled for the edge runtime:
 * each function gets Node's modules when it runs.
 */
import type { Line } from '../lines/line';
import {
  DEFAULT_LINE,
  hasLoadedOther,
  INSTALL_SDK,
  LINES,
  lineOfVersion,
  loadedLine,
  SUPPORTED_SDK,
} from '../lines/table';
import { builtin } from '../native/node-version';
import { upwards } from './upwards';

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

/** What the files show, read once for each working directory and folder of the caller. */
interface Read {
  cwd: string;
  ownFolder: string | undefined;
  line: Line;
  /** The SDK of the app, if it is not supported, and the app's program has no other. */
  unsupported: Installed | undefined;
}

let read: Read | undefined;

/** The folder of this code, if it has one: not in a bundle of ES modules. */
const OWN_FOLDER = typeof __dirname === 'string' ? __dirname : undefined;

/** A bundled server says here for which line it was built: its folders may hold no SDK. */
const BUILT_FOR = 'hookline//built-for-line';

/**
 * The line of the SDK that this process has loaded; if it has loaded none, the line for which its
 * program was built, or else the line of the SDK that the app has installed.
 */
export function presentLine(): Line {
  return loadedLine() ?? builtLine() ?? readFolders(OWN_FOLDER).line;
}

function builtLine(): Line | undefined {
  const { [Symbol.for(BUILT_FOR)]: major } = globalThis as Record<symbol, unknown>;
  return LINES.find((line) => line.major === major);
}

/** The statement by which a built program says for which line it was built: the present one. */
export function saysLine(): string {
  return `globalThis[Symbol.for('${BUILT_FOR}')] ||= ${presentLine().major}`;
}

/**
 * Why this package cannot work with the app's SDK; `undefined` when it can, or when the found SDK
 * may belong to another app.
 *
 * `ownFolder` is the folder of the caller's code, if it has one.
 */
export function unsupportedSdk(ownFolder?: string): Shortcoming | undefined {
  const { unsupported: sdk } = readFolders(ownFolder);
  if (!sdk) return undefined;
  // The process has loaded another SDK, from another folder.
  if (hasLoadedOther(sdk.version)) return undefined;
  return {
    found: `workflow ${sdk.version} in ${sdk.folder} is not supported: this version of hookline works with ${SUPPORTED_SDK}`,
    fix: `Install one: ${INSTALL_SDK}`,
  };
}

function readFolders(ownFolder: string | undefined): Read {
  const cwd = process.cwd();
  if (read?.cwd === cwd && read.ownFolder === ownFolder) return read;
  const here = importedFrom(cwd);
  // One program of a monorepo may run in the root's folder, and import what its own folder has.
  const elsewhere = [scriptFolder(), ownFolder].map((folder) =>
    folder ? importedFrom(folder) : undefined,
  );
  const supported = [here, ...elsewhere].find((sdk) => sdk && isSupported(sdk.version));
  const line = (supported && lineOfVersion(supported.version)) ?? DEFAULT_LINE;
  const isRefused = here && !supported && isOfApp(here, cwd);
  read = { cwd, ownFolder, line, unsupported: isRefused ? here : undefined };
  return read;
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

/** The error for a missing SDK. */
export function missingSdk(): Shortcoming | undefined {
  if (installed('workflow')) return undefined;
  return {
    found: `The package \`workflow\` is not installed in ${process.cwd()}`,
    fix: `Run this in the folder of the app, or install it: ${INSTALL_SDK}`,
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

/**
 * Whether a version of the SDK is supported. A package without a version, such as a folder of a
 * workspace, counts as supported.
 */
export function isSupported(version: string): boolean {
  if (!/^\d+\.\d+\.\d+/.test(version)) return true;
  return lineOfVersion(version) !== undefined;
}
