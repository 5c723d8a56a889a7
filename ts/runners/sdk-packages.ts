/** The packages with which the SDK compiles workflows: the app's `workflow` brings them. */
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { importFile } from '../setup/import-file';

/** The packages of the compiler. */
export interface SdkPackages {
  builders: typeof import('@workflow/builders');
  swc: typeof import('@swc/core');
  esbuild: typeof import('esbuild');
  /** The path of the SDK's plugin for swc. */
  swcPlugin: string;
}

/**
 * Loads the packages that the SDK in this folder uses.
 *
 * @throws Error when the app has no SDK, or the SDK has other packages than 4.x has.
 */
export async function sdkPackages(folder: string): Promise<SdkPackages> {
  const fromApp = createRequire(join(folder, 'index.js'));
  let workflow: string;
  try {
    workflow = fromApp.resolve('workflow/api');
  } catch (cause) {
    throw new Error(
      `The package \`workflow\` is not installed in ${folder}. Install it: npm install workflow@4`,
      { cause },
    );
  }
  try {
    // Each package has its own dependencies, also where a package manager hides them from the app.
    const rollup = createRequire(realpathSync(workflow)).resolve('@workflow/rollup');
    const fromRollup = createRequire(realpathSync(rollup));
    const builders = realpathSync(fromRollup.resolve('@workflow/builders'));
    return {
      builders: await importFile(builders),
      swc: fromRollup('@swc/core'),
      esbuild: createRequire(builders)('esbuild'),
      swcPlugin: fromRollup.resolve('@workflow/swc-plugin'),
    };
  } catch (cause) {
    throw new Error(
      `The compiler of the Workflow SDK in ${folder} cannot be loaded: its packages are not those of workflow 4.x.`,
      { cause },
    );
  }
}
