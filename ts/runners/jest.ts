/** `hookline/jest`: compiles the workflows of an app, and gives each test a World in memory. */
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import type { JestTestOptions } from '../../jest';
import { build, placesOf } from './build';
import { bundleSdk, sdkModules } from './sdk-bundle';

export { testWorld, waitForHook, waitForSleep } from './test-runs';

/** Jest does not transform what is here, and neither Git nor the SDK's builder looks for it. */
const FOLDER = join('node_modules', '.cache', 'hookline-jest');

/** The name of the global that hands the options to Jest's processes. */
export const PROVIDED = '__HOOKLINE_JEST__';

/** What each of Jest's processes needs to know. */
export interface Provided extends JestTestOptions {
  cwd: string;
  outDir: string;
}

/** The parts of Jest's configuration that are used. */
interface Config {
  rootDir?: string;
  preset?: string;
  globalSetup?: string;
  globals?: Record<string, unknown>;
  setupFilesAfterEnv?: string[];
  moduleNameMapper?: Record<string, string | string[]>;
  transform?: Record<string, string | [string, Record<string, unknown>]>;
}

type Given = Config | (() => Config | Promise<Config>);

/** See `jest.d.ts`. */
export function hookline(given: Given = {}, options: JestTestOptions = {}) {
  return async (): Promise<Config> => {
    const config = typeof given === 'function' ? await given() : given;
    const rootDir = resolve(config.rootDir ?? process.cwd());
    const provided: Provided = { ...options, ...placesOf(options, rootDir, FOLDER) };
    if (config.globalSetup) await buildForJest(provided);
    return {
      ...config,
      rootDir,
      globalSetup: config.globalSetup ?? partOfThis('jest-global-setup'),
      globals: { ...config.globals, [PROVIDED]: provided },
      setupFilesAfterEnv: [partOfThis('jest-setup'), ...(config.setupFilesAfterEnv ?? [])],
      moduleNameMapper: { ...sdkModules(provided.outDir), ...config.moduleNameMapper },
      transform: transformOf(config, rootDir, provided),
    };
  };
}

/** Compiles the workflows, and the SDK itself: it is of ES modules, which Jest cannot load. */
export async function buildForJest({ cwd, outDir }: Provided): Promise<void> {
  await build({ cwd, outDir }, { format: 'cjs', selfContained: false });
  await bundleSdk(cwd, outDir);
}

function partOfThis(name: string): string {
  return join(__dirname, `${name}.js`);
}

/** Puts the SDK's transformation before each transformation that the project has. */
function transformOf(config: Config, rootDir: string, { cwd }: Provided): Config['transform'] {
  const require = createRequire(join(rootDir, 'index.js'));
  const preset = config.preset ? presetOf(config.preset, rootDir, require) : undefined;
  const transform = { ...preset?.transform, ...config.transform };
  if (Object.keys(transform).length === 0) transform['\\.[jt]sx?$'] = 'babel-jest';
  return Object.fromEntries(
    Object.entries(transform).map(([pattern, value]) => {
      const [name, innerOptions = {}] = typeof value === 'string' ? [value] : value;
      const inner = found(name.replace('<rootDir>', rootDir), require);
      return [pattern, [partOfThis('jest-transform'), { cwd, inner, innerOptions }]];
    }),
  );
}

function presetOf(preset: string, rootDir: string, require: NodeJS.Require): Config {
  const from = preset.startsWith('.') ? resolve(rootDir, preset) : preset;
  return require(join(from, 'jest-preset'));
}

/** The file of a transformer; Jest itself brings `babel-jest`. */
function found(name: string, require: NodeJS.Require): string {
  try {
    return require.resolve(name);
  } catch (cause) {
    if (name !== 'babel-jest') throw cause;
    let from = require;
    for (const next of ['jest', '@jest/core', 'jest-config']) {
      from = createRequire(realpathSync(from.resolve(next)));
    }
    return from.resolve(name);
  }
}
