/** The SDK as CommonJS, for a test runner that cannot load ES modules. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundlesIn } from './build';
import { sdkPackages } from './sdk-packages';

/** The modules of the SDK that code of an app, or a compiled bundle, imports. */
const MODULES = [
  'workflow',
  'workflow/api',
  'workflow/errors',
  'workflow/runtime',
  'workflow/internal/builtins',
  'workflow/internal/class-serialization',
  'workflow/internal/errors',
  'workflow/internal/private',
];

/** Jest's `moduleNameMapper` for them. */
export function sdkModules(outDir: string): Record<string, string> {
  return Object.fromEntries(MODULES.map((name) => [`^${name}$`, fileOf(outDir, name)]));
}

/** One file holds all modules, so that they share what they share in the SDK. */
export async function bundleSdk(cwd: string, outDir: string): Promise<void> {
  const { esbuild } = await sdkPackages(cwd);
  const modules = [...new Set([...MODULES, ...(await importedBySteps(outDir))])];
  const exports = modules.map((name) => `export * as ${text(name)} from ${text(name)};`);
  await esbuild.build({
    stdin: { contents: exports.join('\n'), resolveDir: cwd, loader: 'js' },
    outfile: join(outDir, 'sdk.cjs'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    banner: { js: 'const import_meta_url = require("node:url").pathToFileURL(__filename).href;' },
    define: { 'import.meta.url': 'import_meta_url' },
    logLevel: 'error',
  });
  await mkdir(join(outDir, 'modules'), { recursive: true });
  await Promise.all(
    modules.map((name) =>
      writeFile(
        fileOf(outDir, name),
        `module.exports = require(${text('../sdk.cjs')})[${text(name)}];\n`,
      ),
    ),
  );
}

/** Modules of the SDK that only the bundle of steps imports, such as those of its classes. */
async function importedBySteps(outDir: string): Promise<string[]> {
  const code = await readFile(bundlesIn(outDir, 'cjs').steps, 'utf8');
  return [...code.matchAll(/require\("(@workflow\/[^"]+)"\)/g)].map(([, name]) => name as string);
}

function fileOf(outDir: string, name: string): string {
  return join(outDir, 'modules', `${name.replaceAll('/', '.')}.cjs`);
}

function text(name: string): string {
  return JSON.stringify(name);
}
