import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, newFolder, ROOT, runNode } from './support';

type Next = typeof import('../next');
const { withHookline } = require(join(ROOT, 'dist', 'next.js')) as Next;

const target = process.env.WORKFLOW_TARGET_WORLD;
beforeEach(() => {
  delete process.env.WORKFLOW_TARGET_WORLD;
});
afterAll(async () => {
  if (target !== undefined) process.env.WORKFLOW_TARGET_WORLD = target;
  await cleanUp();
});

test('what the app has configured stays, and the package is added once', () => {
  const config = {
    basePath: '/desk',
    serverExternalPackages: ['sharp', 'hookline'],
    outputFileTracingIncludes: { '/*': ['./fonts/*'], '/api': ['./keys/*'] },
  };
  const { outputFileTracingIncludes, ...rest } = withHookline(config);
  expect(rest).toEqual({ basePath: '/desk', serverExternalPackages: ['sharp', 'hookline'] });
  expect(outputFileTracingIncludes['/api']).toEqual(['./keys/*']);
  expect(outputFileTracingIncludes['/*']?.[0]).toBe('./fonts/*');
  expect(config.outputFileTracingIncludes['/*']).toEqual(['./fonts/*']);
});

test('a configuration by phase stays one', async () => {
  const config = withHookline((phase: string) => ({ distDir: phase }));
  await expect(config('phase-test')).resolves.toMatchObject({
    distDir: 'phase-test',
    serverExternalPackages: ['hookline'],
  });
});

test('it names its World, unless another is named', () => {
  withHookline();
  expect(process.env.WORKFLOW_TARGET_WORLD).toBe('hookline');
  process.env.WORKFLOW_TARGET_WORLD = 'local';
  withHookline();
  expect(process.env.WORKFLOW_TARGET_WORLD).toBe('local');
});

/** Runs `register()` as a server would, in a process of its own. */
async function registered(env: Record<string, string>) {
  const folder = newFolder();
  const url = join(folder, 'hookline.db');
  const script = `
    const { register } = require('hookline/next');
    const world = Symbol.for('@workflow/world//cache');
    register().then(async () => {
      console.log(JSON.stringify({
        basePath: globalThis[Symbol.for('@workflow/core/basePath')],
        delivery: process.env.WORKFLOW_HOOKLINE_DELIVERY,
        isWorld: typeof globalThis[world]?.createQueueHandler === 'function',
      }));
      await globalThis[world]?.close();
    });`;
  const ended = await runNode(['-e', script], {
    env: { PATH: process.env.PATH, WORKFLOW_HOOKLINE_URL: url, ...env },
  });
  expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: '' });
  return { ...JSON.parse(ended.stdout), opened: existsSync(url) };
}

test('register() opens the World that the SDK will use, which delivers through routes', async () => {
  const standalone = JSON.stringify({ basePath: '/desk' });
  expect(await registered({ __NEXT_PRIVATE_STANDALONE_CONFIG: standalone })).toEqual({
    basePath: '/desk',
    delivery: 'http',
    isWorld: true,
    opened: true,
  });
});

test.each([
  ['for another World', { WORKFLOW_TARGET_WORLD: 'local' }],
  ['on the edge runtime', { NEXT_RUNTIME: 'edge' }],
])('register() does nothing %s', async (_when, env) => {
  expect(await registered(env)).toEqual({ isWorld: false, opened: false });
});

test('the files named for a standalone server are those that run', () => {
  const globs = withHookline({ reactStrictMode: true }).outputFileTracingIncludes['/*'] ?? [];
  expect(globs[0]).toMatch(/package\.json$/);
  expect(globs[1]).toMatch(/\{dist,native\}\/\*$/);
  expect(globs.at(-1)).toMatch(/workflow\/package\.json$/);
  // The pattern has no depth: what runs lies flat.
  for (const folder of ['dist', 'native']) {
    const entries = readdirSync(join(ROOT, folder), { withFileTypes: true });
    expect(entries.filter((entry) => entry.isDirectory())).toEqual([]);
  }
});

test('a standalone server gets the links by which the package and the SDK are found, as pnpm makes them', async () => {
  const folder = newFolder();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules', 'hookline'));
  symlinkSync(join(ROOT, 'node_modules', 'workflow'), join(folder, 'node_modules', 'workflow'));
  const script = `
    const { withHookline } = require('hookline/next');
    console.log(JSON.stringify(withHookline({}).outputFileTracingIncludes['/*']));`;
  const { stdout } = await runNode(['-e', script], { cwd: folder });
  expect(JSON.parse(stdout)).toContain('node_modules/hookline');
  expect(JSON.parse(stdout)).toContain('node_modules/workflow');
});
