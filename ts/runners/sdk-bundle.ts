/** The SDK as CommonJS, for a test runner that cannot load ES modules. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundlesIn } from './build';
import { type SdkPackages, sdkPackages } from './sdk-packages';

/** The modules of any SDK that code of an app, or a compiled bundle, imports. */
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

/**
 * One file holds all modules, so that they share what they share in the SDK, and with it the packages
 * of the SDK that the bundle of steps imports: many of them are ES modules too.
 */
export async function bundleSdk(cwd: string, outDir: string): Promise<void> {
  const sdk = await sdkPackages(cwd);
  const modules = MODULES.filter(sdk.exported);
  const own = await takeFromBundle(bundlesIn(outDir, 'cjs').steps, sdk);
  const exports = [
    ...modules.map((name) => `export * as ${text(name)} from ${text(name)};`),
    ...own.map((name) => `export * as ${text(name)} from ${text(OWN + name)};`),
  ];
  await sdk.esbuild.build({
    stdin: { contents: exports.join('\n'), resolveDir: cwd, loader: 'js' },
    outfile: join(outDir, 'sdk.cjs'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    supported: NO_IMPORT,
    banner: { js: 'const import_meta_url = require("node:url").pathToFileURL(__filename).href;' },
    define: { 'import.meta.url': 'import_meta_url' },
    logLevel: 'error',
    plugins: [
      {
        name: 'own-packages',
        setup({ onResolve, resolve }) {
          onResolve({ filter: new RegExp(`^${OWN}`) }, ({ path, kind }) =>
            resolve(path.slice(OWN.length), { resolveDir: sdk.core, kind }),
          );
        },
      },
    ],
  });
  await mkdir(join(outDir, 'modules'), { recursive: true });
  await Promise.all(
    [...modules, ...own].map((name) =>
      writeFile(
        fileOf(outDir, name),
        `module.exports = require(${text('../sdk.cjs')})[${text(name)}];\n`,
      ),
    ),
  );
}

/** Jest's contexts know no `import()`: it becomes `require()`. */
const NO_IMPORT = { 'dynamic-import': false };

/** Marks what is found from the SDK's own folder. */
const OWN = 'own:';

const REQUIRED = /require\("([^."][^"]*)"\)/g;

/** Makes a bundle load the SDK's own packages from here; returns which these are. */
async function takeFromBundle(bundle: string, { esbuild, isOwn }: SdkPackages) {
  const own = new Set<string>();
  const source = await readFile(bundle, 'utf8');
  const { code: commonJs } = await esbuild.transform(source, { supported: NO_IMPORT });
  const code = commonJs.replace(REQUIRED, (call, name: string) => {
    if (!isOwn(name)) return call;
    own.add(name);
    return `require(${text(`./modules/${fileNameOf(name)}`)})`;
  });
  await writeFile(bundle, code);
  return [...own];
}

function fileOf(outDir: string, name: string): string {
  return join(outDir, 'modules', fileNameOf(name));
}

function fileNameOf(name: string): string {
  return `${name.replaceAll('/', '.')}.cjs`;
}

function text(name: string): string {
  return JSON.stringify(name);
}
