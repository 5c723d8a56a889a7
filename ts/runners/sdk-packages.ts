/** The packages with which the SDK compiles workflows: the app's `workflow` brings them. */
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Line } from '../lines/line';
import { DEFAULT_LINE, INSTALL_SDK, lineOfVersion, SUPPORTED_SDK } from '../lines/table';
import { importFile } from '../setup/import-file';
import { declares, readManifest } from '../setup/installed-sdk';

/** The packages of the compiler. */
export interface SdkPackages {
  /** The line of the SDK. */
  line: Line;
  builders: typeof import('@workflow/builders');
  swc: typeof import('@swc/core');
  esbuild: typeof import('esbuild');
  /** The folder of the SDK's core. */
  core: string;
  /** Whether a module is of a package of the SDK, or of one that only the SDK brings. */
  isOwn(module: string): boolean;
  /** Whether the SDK has a module with this name. */
  exported(module: string): boolean;
  /** The path of the SDK's plugin for swc. */
  swcPlugin: string;
}

/**
 * Loads the packages that the SDK in this folder uses.
 *
 * @throws Error when the app has no SDK, or the SDK has other packages than the supported lines have.
 */
export async function sdkPackages(folder: string): Promise<SdkPackages> {
  const fromApp = createRequire(join(folder, 'index.js'));
  let workflow: string;
  try {
    workflow = fromApp.resolve('workflow/api');
  } catch (cause) {
    throw new Error(
      `The package \`workflow\` is not installed in ${folder}. Install it: ${INSTALL_SDK}`,
      { cause },
    );
  }
  try {
    // Each package has its own dependencies, also where a package manager hides them from the app.
    const rollup = createRequire(realpathSync(workflow)).resolve('@workflow/rollup');
    const fromRollup = createRequire(realpathSync(rollup));
    const builders = realpathSync(fromRollup.resolve('@workflow/builders'));
    const ownFolder = dirname(dirname(realpathSync(workflow)));
    const core = dirname(
      realpathSync(createRequire(realpathSync(workflow)).resolve('@workflow/core')),
    );
    const version = String(readManifest(join(ownFolder, 'package.json'))?.version);
    return {
      line: lineOfVersion(version) ?? DEFAULT_LINE,
      builders: await importFile(builders),
      swc: fromRollup('@swc/core'),
      esbuild: createRequire(builders)('esbuild'),
      exported: (module) => isFound(fromApp, module),
      core,
      isOwn: ownPackages(folder, core),
      swcPlugin: fromRollup.resolve('@workflow/swc-plugin'),
    };
  } catch (cause) {
    throw new Error(
      `The compiler of the Workflow SDK in ${folder} cannot be loaded: its packages are not those of ${SUPPORTED_SDK}.`,
      { cause },
    );
  }
}

/** The packages of the SDK, and the dependencies of its core that the app does not name itself. */
function ownPackages(folder: string, core: string): (module: string) => boolean {
  const app = readManifest(join(folder, 'package.json')) ?? {};
  const ofCore = readManifest(join(dirname(core), 'package.json')) ?? {};
  return (module) => {
    if (module.startsWith('@workflow/')) return true;
    const name = module.split('/')[0] as string;
    return declares(ofCore, name) && !declares(app, name);
  };
}

function isFound({ resolve }: NodeJS.Require, module: string): boolean {
  try {
    resolve(module);
    return true;
  } catch {
    return false;
  }
}
