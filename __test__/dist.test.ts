import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { init, parse } from 'cjs-module-lexer';
import { buildSync } from 'esbuild';
import { cleanUp, newFolder, ROOT, runNode } from './support';

afterAll(cleanUp);

const DIST = join(ROOT, 'dist');
const FILES = readdirSync(DIST).filter((name) => /\.m?js$/.test(name));
const read = (name: string) => readFileSync(join(DIST, name), 'utf8');

const EXPORTS = [
  'EntityConflictError',
  'HookNotFoundError',
  'IDEMPOTENCY_WINDOW_MS',
  'IdempotencyConflictError',
  'Run',
  'RunExpiredError',
  'RunNotSupportedError',
  'ThrottleError',
  'TimeLimitError',
  'TooEarlyError',
  'WorkflowRunCancelledError',
  'WorkflowRunFailedError',
  'WorkflowRunNotFoundError',
  'WorkflowRuntimeError',
  'WorkflowWorldError',
  'createWorld',
  'getHookByToken',
  'getRun',
  'registerLifecycleHooks',
  'resumeHook',
  'resumeWebhook',
  'runStep',
  'start',
  'startDelivery',
  'waitForHook',
];

// If a file contains one of these, the SDK's Next.js plugin bundles the package against the app's
// will.
test.each([
  ['a directive', /^\s*(['"`])use (?:step|workflow)\1/m],
  ['the serde package', /@workflow\/serde/],
  ['a serialization symbol', /Symbol\.for\(\s*['"`]workflow-(?:de)?serialize/],
  ['the symbol texts', /workflow-(?:de)?serialize/],
  ['a computed serialization member', /\[\s*WORKFLOW_(?:DE)?SERIALIZE\s*\]/],
])('no built file contains %s', (_what, text) => {
  for (const name of FILES) expect(read(name)).not.toMatch(text);
});

test('the built files require nothing but Node and each other', () => {
  const allowed = new Set([...builtinModules, ...builtinModules.map((name) => `node:${name}`)]);
  // It writes imports into apps; the build checks what it needs itself.
  for (const name of FILES.filter((one) => one !== 'init.js')) {
    const required = [...read(name).matchAll(/(?:require|import)\(\s*['"]([^'"]+)['"]\s*\)/g)];
    const foreign = required.map(([, id]) => id as string).filter((id) => !allowed.has(id));
    expect(foreign.filter((id) => !FILES.includes(id.replace('./', '')))).toEqual([]);
    // The CLI is a program, and no bundler reads it; it imports the package that its option names.
    if (name === 'cli.js') continue;
    for (const [, hidden] of read(name).matchAll(/\bimport\(((?:\s*\/\*.*?\*\/)*)/g)) {
      expect(hidden).toMatch(/webpackIgnore: true.*turbopackIgnore: true.*@vite-ignore/s);
    }
  }
});

test('the built files name no machine', () => {
  for (const name of FILES) expect(read(name)).not.toContain(ROOT);
});

test('every export is visible to the lexer by which Node imports CommonJS', async () => {
  await init();
  const seen = new Set(parse(read('index.js')).exports);
  expect(EXPORTS.filter((name) => !seen.has(name))).toEqual([]);
});

test('require and import give the same functions, under the same names', async () => {
  const script = `
    import byDefault, * as imported from ${JSON.stringify(join(DIST, 'index.mjs'))};
    import { createRequire } from 'node:module';
    const required = createRequire(import.meta.url)(${JSON.stringify(join(DIST, 'index.js'))});
    const names = Object.keys(imported).filter((name) => name !== 'default');
    const same = names.every((name) => imported[name] === required[name]);
    const defaults = byDefault === required.createWorld && required.default === byDefault;
    console.log(JSON.stringify({ names, same, defaults, requiredType: typeof required }));
  `;
  const { stdout } = await runNode(['--input-type=module', '-e', script]);
  expect(JSON.parse(stdout)).toEqual({
    names: EXPORTS,
    same: true,
    defaults: true,
    requiredType: 'object',
  });
});

// For a CommonJS file that was an ES module, Turbopack's default import is its `default`, and that
// of Node and webpack is the whole module. esbuild does either, by the name of the importing file.
test.each(['of.js', 'of.mjs'])('a bundler finds every export by the interop %s', (sourcefile) => {
  const { outputFiles } = buildSync({
    stdin: { contents: read('index.mjs'), resolveDir: DIST, sourcefile },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    external: ['./sdk-4.js'],
  });
  const bundle = join(newFolder(), 'bundle.cjs');
  writeFileSync(bundle, outputFiles[0]?.contents ?? '');
  const found: Record<string, unknown> = require(bundle);
  expect(EXPORTS.filter((name) => found[name] === undefined)).toEqual([]);
  expect(found.default).toBe(found.createWorld);
});

test('importing and making a World opens nothing and loads neither addon nor serializer', async () => {
  const folder = newFolder();
  const script = `
    const before = Object.getOwnPropertySymbols(globalThis).length;
    const { createWorld } = require(${JSON.stringify(join(DIST, 'index.js'))});
    const world = createWorld();
    const loaded = Object.keys(require.cache).map((file) => require('node:path').basename(file));
    console.log(JSON.stringify({
      loaded,
      specVersion: world.specVersion,
      symbols: Object.getOwnPropertySymbols(globalThis).length - before,
    }));
  `;
  const { stdout } = await runNode(['-e', script], {
    cwd: folder,
    env: { ...process.env, WORKFLOW_HOOKLINE_CONCURRENCY: 'not a number' },
  });
  expect(JSON.parse(stdout)).toEqual({
    loaded: ['index.js', 'errors.js'],
    specVersion: 3,
    symbols: 0,
  });
  expect(readdirSync(folder)).toEqual([]);
});

/** An app in a folder of its own, with this package installed. */
function newApp(): string {
  const app = newFolder();
  const installed = join(app, 'node_modules', 'hookline');
  mkdirSync(installed, { recursive: true });
  for (const part of ['dist', 'native', 'package.json']) {
    cpSync(join(ROOT, part), join(installed, part), { recursive: true });
  }
  writeFileSync(join(app, 'package.json'), '{ "name": "app" }');
  return app;
}

test('an app that bundles the package builds, and finds the addon when it runs', async () => {
  const app = newApp();
  writeFileSync(
    join(app, 'route.mjs'),
    `import { resumeHook } from 'hookline';
     resumeHook('nobody', {}).catch((error) => console.log(error.name));`,
  );
  const outfile = join(app, 'server', 'route.js');
  buildSync({
    entryPoints: [join(app, 'route.mjs')],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile,
    logLevel: 'silent',
  });
  const ended = await runNode([outfile], {
    cwd: app,
    env: { ...process.env, WORKFLOW_HOOKLINE_URL: join(app, 'test.db') },
  });
  expect(ended).toMatchObject({ code: 0, stdout: 'HookNotFoundError\n', stderr: '' });
});

test('a Jest without any configuration can test a handler that resumes hooks', async () => {
  const app = newApp();
  writeFileSync(
    join(app, 'handler.test.js'),
    `const { resumeHook } = require('hookline');
     async function POST(token) {
       try {
         return Response.json({ runId: (await resumeHook(token, { ok: true })).runId });
       } catch (error) {
         const missing = error instanceof Error && error.name === 'HookNotFoundError';
         return Response.json({}, { status: missing ? 404 : 500 });
       }
     }
     test('404', async () => expect((await POST('nobody')).status).toBe(404));`,
  );
  const jest = require.resolve('jest/bin/jest', { paths: [ROOT] });
  const ended = await runNode([jest, '--rootDir', app], {
    cwd: app,
    env: { PATH: process.env.PATH, WORKFLOW_HOOKLINE_URL: join(app, 'test.db') },
  });
  expect({ code: ended.code, output: ended.stderr }).toMatchObject({ code: 0 });
}, 60_000);
