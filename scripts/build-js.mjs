/**
 * Builds `dist/`: the CommonJS entries, a thin ES module over each, and the SDK's serializer as
 * CommonJS. Nothing in `dist/` requires an npm package, so plain Jest can load it.
 */
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');
const require = createRequire(import.meta.url);

/** Where the SDK's core is installed, wherever npm put it. */
const core = dirname(require.resolve('@workflow/core'));

/** Texts by which the SDK's Next.js plugin takes a file for workflow code (and bundles it). */
const WORKFLOW_TEXTS = [
  /workflow-(?:de)?serialize/,
  /WORKFLOW_(?:DE)?SERIALIZE/,
  /@workflow\/serde/,
  /^\s*['"]use (?:step|workflow)['"]/m,
];

/**
 * What stays a file of its own in `dist/` and is required there: the serializer, because it is only
 * needed later, the parser of `init`, because no other command needs it, and the others, because an app that also imports `hookline/testing` must not have
 * them twice. An error is `instanceof` the class of `hookline`, whichever part made it.
 */
const APART = {
  sdk4: { source: join(root, 'ts/lines/4/sdk'), path: './sdk-4.js' },
  sdk5: { source: join(root, 'ts/lines/5/sdk'), path: './sdk-5.js' },
  index: { source: join(root, 'ts/index'), path: './index.js' },
  errors: { source: join(root, 'ts/native/errors'), path: './errors.js' },
  testing: { source: join(root, 'ts/testing/index'), path: './testing.js' },
  vitest: { source: join(root, 'ts/runners/vitest'), path: './vitest.js' },
  jest: { source: join(root, 'ts/runners/jest'), path: './jest.js' },
  init: { source: join(root, 'ts/init/index'), path: './init.js' },
};

/** What only the set-up files import. */
const ONLY_FOR_SETUP = new Set(['PROVIDED', 'buildForJest', 'buildForProject', 'nextWorld']);

/** A test runner evaluates its set-up files itself: they are ES modules, and import it. */
const SETUP_FILE = { format: 'esm', external: ['vitest'] };

/** Keeps some of them apart. */
function apart(...names) {
  const kept = names.map((name) => APART[name]);
  return {
    name: 'apart',
    setup({ onResolve }) {
      onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
        const wanted = join(resolveDir, path);
        const found = kept.find(({ source }) => source === wanted);
        return found && { path: found.path, external: true };
      });
    },
  };
}

/**
 * Replaces modules of an SDK's core: what the serializer would drag along (other Worlds, the logger),
 * and its pipe. The keys are the ends of their paths.
 */
function sdkShims(core, shims) {
  return {
    name: 'sdk-shims',
    setup({ onResolve }) {
      for (const [module, shim] of Object.entries(shims)) {
        const path = join(root, 'ts/lines', shim);
        onResolve({ filter: new RegExp(`/${module}\\.js$`) }, ({ importer }) =>
          importer.startsWith(core) ? { path } : undefined,
        );
      }
      const unexported = /^@workflow\/core\/(?:capabilities|flushable-stream|version)$/;
      onResolve({ filter: unexported }, ({ path }) => ({
        path: join(core, `${path.split('/').at(-1)}.js`),
      }));
    },
  };
}

const shimsOf4 = sdkShims(core, {
  world: '4/sdk/world.ts',
  logger: 'sdk/logger.ts',
  'flushable-stream': '4/sdk/flushable-stream.ts',
});

/** `tsconfig.json` names the place too. */
const core5 = join(root, 'node_modules/workflow-5/node_modules/@workflow/core/dist');
const shimsOf5 = sdkShims(core5, {
  'get-world-lazy': '5/sdk/world.ts',
  logger: 'sdk/logger.ts',
  telemetry: '5/sdk/telemetry.ts',
  'resume-hook': '5/sdk/resume-hook.ts',
  'flushable-stream': '5/sdk/flushable-stream.ts',
});

/**
 * Leaves out what a line does at work, for parts that only ask which versions are supported.
 * `hookline/next` is bundled for the edge runtime too, which has none of Node's modules.
 */
const onlyVersions = {
  name: 'only-versions',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\/(?:delivery|serializer)$/ }, ({ path, importer }) =>
      dirname(dirname(importer)) === join(root, 'ts/lines')
        ? { path, namespace: 'only-versions' }
        : undefined,
    );
    onLoad({ filter: /./, namespace: 'only-versions' }, ({ path }) => ({
      contents: `export const ${path.slice(2)} = undefined;`,
    }));
  },
};

/**
 * Keeps the bundled error classes from registering themselves: the first registration in a process
 * wins for good, and it must be that of the user's own SDK.
 */
const noRegistration = {
  name: 'no-registration',
  setup({ onLoad }) {
    const guard = "if (typeof globalThis !== 'undefined') {";
    onLoad({ filter: /@workflow[/\\]errors[/\\]dist[/\\]index\.js$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      if (source.split(guard).length !== 2) throw new Error(`${path} no longer registers as known`);
      return { contents: source.replace(guard, 'if (false) {'), loader: 'js' };
    });
  },
};

const shared = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  minifySyntax: true,
  legalComments: 'eof',
  metafile: true,
  write: false,
  logLevel: 'warning',
};

/** Bundles one entry, makes the text safe for the SDK's scanner, and checks what it still needs. */
async function bundle(entry, outfile, plugins, options = {}) {
  const result = await build({
    ...shared,
    entryPoints: [entry],
    outfile: join(dist, outfile),
    plugins,
    ...options,
  });
  const text = disguise(result.outputFiles[0].text);
  for (const forbidden of WORKFLOW_TEXTS) {
    if (forbidden.test(text)) throw new Error(`dist/${outfile} contains ${forbidden}`);
  }
  const outputs = Object.values(result.metafile.outputs);
  const foreign = outputs
    .flatMap((output) => output.imports)
    .filter(({ path, external }) => external && !isOwnOrBuiltin(path))
    .filter(({ path }) => !options.external?.includes(path));
  if (foreign.length > 0) {
    throw new Error(`dist/${outfile} needs ${foreign.map(({ path }) => path).join(', ')}`);
  }
  await writeFile(join(dist, outfile), text);
  return Object.keys(result.metafile.inputs);
}

const builtins = new Set(require('node:module').builtinModules);

function isOwnOrBuiltin(path) {
  return (
    Object.values(APART).some((it) => it.path === path) || builtins.has(path.replace(/^node:/, ''))
  );
}

/** Builds the scanned texts at run time instead. */
function disguise(text) {
  return text
    .replace(
      /"workflow-(de)?serialize"/g,
      (_, de) => `["workflow", "${de ?? ''}serialize"].join("-")`,
    )
    .replace(/WORKFLOW_(DE)?SERIALIZE/g, (_, de) => `${de ?? ''}SERIALIZE_SYMBOL`)
    .replace(/^\/\/ .*node_modules\/.*\n/gm, '');
}

/** The licences of what was bundled, which travel with it. */
async function licences(inputs) {
  const packages = new Set();
  for (const input of inputs) {
    const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (match) packages.add(match[1]);
  }
  const parts = [];
  for (const folder of [...packages].sort()) {
    const { name, version, license } = JSON.parse(
      await readFile(join(root, folder, 'package.json'), 'utf8'),
    );
    const text = await firstText(folder, [
      'LICENSE',
      'LICENSE.md',
      'license.md',
      'license',
      'LICENSE.txt',
    ]);
    parts.push(`${name} ${version} (${license})\n\n${text ?? ''}`.trim());
  }
  return `${parts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

async function firstText(folder, names) {
  for (const name of names) {
    const text = await readFile(join(root, folder, name), 'utf8').catch(() => undefined);
    if (text !== undefined) return text;
  }
  return undefined;
}

/**
 * An ES module: the same instance as the CommonJS file, so that a process never has two. Every export by
 * its name: bundlers and Node differ in what the default import of such a file is.
 */
async function writeModule(name, names) {
  await writeFile(
    join(dist, `${name}.mjs`),
    `export { ${names.join(', ')} } from './${name}.js';\n`,
  );
}

function exportsOf(name) {
  const names = Object.keys(require(join(dist, `${name}.js`)));
  return names.filter((name) => name !== 'default').sort();
}

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
const inputs = [
  ...(await bundle('ts/index.ts', 'index.js', [apart('sdk4', 'sdk5', 'errors')])),
  ...(await bundle('ts/native/errors.ts', 'errors.js', [noRegistration])),
  ...(await bundle('ts/workflow.ts', 'workflow.js', [noRegistration])),
  ...(await bundle('ts/no-node.ts', 'no-node.js', [noRegistration])),
  ...(await bundle('ts/setup/next.ts', 'next.js', [onlyVersions])),
  ...(await bundle('ts/setup/nitro.ts', 'nitro.js', [onlyVersions])),
  ...(await bundle('ts/lines/4/sdk/index.ts', 'sdk-4.js', [shimsOf4, noRegistration])),
  ...(await bundle('ts/lines/5/sdk/index.ts', 'sdk-5.js', [shimsOf5, noRegistration])),
  ...(await bundle('ts/cli/main.ts', 'cli.js', [apart('sdk4', 'sdk5', 'index', 'errors', 'init')])),
  ...(await bundle('ts/init/index.ts', 'init.js', [], { minify: true })),
  ...(await bundle('ts/testing/index.ts', 'testing.js', [
    apart('sdk4', 'sdk5', 'index', 'errors'),
  ])),
  ...(await bundle('ts/runners/vitest.ts', 'vitest.js', [
    onlyVersions,
    apart('index', 'errors', 'testing'),
  ])),
  ...(await bundle('ts/runners/jest.ts', 'jest.js', [
    onlyVersions,
    apart('index', 'errors', 'testing'),
  ])),
  ...(await bundle('ts/runners/jest-transform.ts', 'jest-transform.js', [onlyVersions])),
  ...(await bundle('ts/runners/jest-setup.ts', 'jest-setup.js', [
    onlyVersions,
    apart('index', 'errors', 'testing'),
  ])),
  ...(await bundle('ts/runners/jest-global-setup.ts', 'jest-global-setup.js', [apart('jest')])),
  ...(await bundle(
    'ts/runners/vitest-setup.ts',
    'vitest-setup.mjs',
    [apart('vitest')],
    SETUP_FILE,
  )),
  ...(await bundle(
    'ts/runners/vitest-global-setup.ts',
    'vitest-global-setup.mjs',
    [apart('vitest')],
    SETUP_FILE,
  )),
];
await writeModule('index', [...exportsOf('index'), 'createWorld as default']);
await writeModule('testing', exportsOf('testing'));
for (const runner of ['jest', 'vitest']) {
  await writeModule(
    runner,
    exportsOf(runner).filter((name) => !ONLY_FOR_SETUP.has(name)),
  );
}
await chmod(join(dist, 'cli.js'), 0o755);
await writeFile(join(dist, 'LICENSES.txt'), await licences(inputs));
