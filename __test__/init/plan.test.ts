/** What `init` changes in the untouched app of each starter. */
import { join } from 'node:path';
import { appIn } from '../../ts/cli/app-folder';
import { NoAppError, planFor } from '../../ts/init/plan';
import { ROOT } from '../support';
import { applied, type Files, planOf, replaced, SDK_LINES, written } from './planning';
import { STARTERS } from './starters';

const NITRO = 'nitro@3.0.260610-beta';
const BOTH = ['hookline@0.1.0', 'workflow@4'];

test.each(Object.entries(STARTERS))('%s: a second run has nothing to do', (_name, files) => {
  const plan = planOf(applied(files));
  expect(plan).toMatchObject({ changes: [], byHand: [], packages: [], devPackages: [] });
});

test.each(['next-approval', 'hono', 'nitro'])('examples/%s is set up as init would', (example) => {
  const plan = planFor(appIn(join(ROOT, 'examples', example)), '0.1.0', SDK_LINES);
  expect(plan).toMatchObject({ changes: [], byHand: [], packages: [], devPackages: [] });
});

test.each(Object.entries(STARTERS))('%s: the database is kept out of Git', (_name, files) => {
  expect(written(planOf(files))['.gitignore']).toMatch(/^\.workflow-data$/m);
});

test('Next.js: the configuration keeps what it has, and both wrappers go around it', () => {
  const files = STARTERS['create-next-app'];
  const plan = planOf(files);
  expect(plan).toMatchObject({ framework: 'Next.js', packages: BOTH, devPackages: [] });
  expect(written(plan)).toEqual({
    '.gitignore': `${files['.gitignore']}\n# Workflows (hookline)\n.workflow-data\n`,
    'instrumentation.ts': "export { register } from 'hookline/next';\n",
    'next.config.ts': replaced(
      files['next.config.ts'],
      [
        'import type { NextConfig } from "next";\n',
        'import type { NextConfig } from "next";\nimport { withWorkflow } from "workflow/next";\nimport { withHookline } from "hookline/next";\n',
      ],
      ['export default nextConfig;', 'export default withWorkflow(withHookline(nextConfig));'],
    ),
  });
});

test('Next.js in src/: the start line goes where Next.js looks for it', () => {
  const files = STARTERS['create-next-app in JavaScript, in src'];
  expect(written(planOf(files))).toMatchObject({
    'src/instrumentation.js': "export { register } from 'hookline/next';\n",
    'next.config.mjs': replaced(
      files['next.config.mjs'],
      [
        '/** @type',
        "import { withWorkflow } from 'workflow/next';\nimport { withHookline } from 'hookline/next';\n\n/** @type",
      ],
      ['export default nextConfig;', 'export default withWorkflow(withHookline(nextConfig));'],
    ),
  });
});

test('SvelteKit: its plugin, the start line in its hooks, and the adapter for Node', () => {
  const files = STARTERS['sv create'];
  const plan = planOf(files);
  expect(plan).toMatchObject({ packages: BOTH, devPackages: ['@sveltejs/adapter-node@5'] });
  expect(written(plan)).toMatchObject({
    'src/hooks.server.ts': "export { startDelivery as init } from 'hookline';\n",
    'vite.config.ts': replaced(
      files['vite.config.ts'],
      ["'@sveltejs/adapter-auto'", "'@sveltejs/adapter-node'"],
      ["from 'vite';\n", "from 'vite';\nimport { workflowPlugin } from 'workflow/sveltekit';\n"],
      ['\t\t})\n', '\t\t}),\n\t\tworkflowPlugin()\n'],
    ),
  });
});

test('Vite: Nitro, the plugin and our module, in the style of the file', () => {
  const files = STARTERS['create-vite'];
  const plan = planOf(files);
  expect(plan).toMatchObject({ framework: 'Vite', packages: BOTH, devPackages: [NITRO] });
  expect(written(plan)['vite.config.ts']).toBe(
    replaced(
      files['vite.config.ts'],
      [
        "from 'vite'\n",
        "from 'vite'\nimport { nitro } from 'nitro/vite'\nimport { workflow } from 'workflow/vite'\n",
      ],
      [
        'plugins: [react()],\n',
        "plugins: [react(), nitro(), workflow()],\n  nitro: { serverDir: './', modules: ['hookline/nitro'] },\n",
      ],
    ),
  );
});

test('Vite: a folder that was there before Nitro is not served by it', () => {
  const files = { ...STARTERS['create-vite'], 'plugins/mine.ts': '' };
  expect(written(planOf(files))['vite.config.ts']).toContain("serverDir: './server'");
});

test('TanStack Start: its Nitro stays as it is, the plugin and our module are added', () => {
  const files = STARTERS['tanstack create'];
  const plan = planOf(files);
  expect(plan).toMatchObject({ framework: 'TanStack Start', packages: BOTH, devPackages: [] });
  expect(written(plan)['vite.config.ts']).toBe(
    replaced(
      files['vite.config.ts'],
      ["from 'nitro/vite'\n", "from 'nitro/vite'\nimport { workflow } from 'workflow/vite'\n"],
      [
        '    viteReact(),\n  ],\n',
        "    viteReact(),\n    workflow(),\n  ],\n  nitro: { modules: ['hookline/nitro'] },\n",
      ],
    ),
  );
});

test('NestJS: the module, the compiler, its scripts, and the start line after listen', () => {
  const files = STARTERS['nest new'];
  const plan = planOf(files);
  expect(plan).toMatchObject({
    packages: [...BOTH, '@workflow/nest@4'],
    devPackages: ['@swc/cli', '@swc/core@1.15.3'],
  });
  const init = 'npx @workflow/nest init --force';
  expect(written(plan)).toEqual({
    '.gitignore': '# Workflows (hookline)\n.workflow-data\n.nestjs\n.swcrc\n',
    'nest-cli.json': replaced(files['nest-cli.json'], [
      '"deleteOutDir": true\n',
      '"deleteOutDir": true,\n    "builder": "swc"\n',
    ]),
    'package.json': replaced(
      files['package.json'],
      ['"nest start",', `"${init} && nest start",`],
      ['"nest start --watch",', `"${init} && nest start --watch",`],
      ['"nest start --debug --watch",', `"${init} && nest start --debug --watch",`],
      ['"node dist/main"\n', `"node dist/main",\n    "prebuild": "${init}"\n`],
    ),
    'src/app.module.ts': replaced(
      files['src/app.module.ts'],
      [
        "from './app.service.js';\n",
        "from './app.service.js';\nimport { WorkflowModule } from '@workflow/nest';\n",
      ],
      ['imports: [],', 'imports: [WorkflowModule.forRoot()],'],
    ),
    'src/main.ts': replaced(
      files['src/main.ts'],
      [
        "from './app.module.js';\n",
        "from './app.module.js';\nimport { startDelivery } from 'hookline';\n",
      ],
      ['?? 3000);\n', '?? 3000);\n  await startDelivery();\n'],
    ),
  });
});

test('NestJS as CommonJS: the module is told so', () => {
  const files = STARTERS['nest new'];
  const manifest = { ...JSON.parse(files['package.json']), type: undefined };
  const changed = written(planOf({ ...files, 'package.json': JSON.stringify(manifest) }));
  expect(changed['src/app.module.ts']).toContain(
    "imports: [WorkflowModule.forRoot({ moduleType: 'commonjs', distDir: 'dist' })],",
  );
  expect(changed['package.json']).toContain('npx @workflow/nest init --force --module commonjs');
});

test('Hono: Nitro serves the app, which is exported instead of served', () => {
  const files = STARTERS['create-hono'];
  const plan = planOf(files);
  expect(plan).toMatchObject({ framework: 'Hono', packages: BOTH, devPackages: [NITRO] });
  expect(written(plan)).toMatchObject({
    'nitro.config.ts': `import { defineConfig } from 'nitro';

export default defineConfig({
  modules: ['workflow/nitro', 'hookline/nitro'],
  routes: { '/**': './src/index.ts' },
});
`,
    'package.json': replaced(
      files['package.json'],
      ['tsx watch src/index.ts', 'nitro dev'],
      ['"build": "tsc"', '"build": "nitro build"'],
      ['node dist/index.js', 'node .output/server/index.mjs'],
    ),
    'src/index.ts': `import { Hono } from 'hono'

const app = new Hono()

app.get('/', (c) => {
  return c.text('Hello Hono!')
})

export default app
`,
  });
});

test('Express: Nitro serves the app as a handler of Node', () => {
  const changed = written(planOf(STARTERS['an app of Express']));
  expect(changed['nitro.config.ts']).toContain(
    "routes: { '/**': { handler: './index.js', format: 'node' } },",
  );
  expect(changed['index.js']).toMatch(/\n\}\)\n\nexport default app\n$/);
  expect(changed['index.js']).not.toContain('listen(');
});

test('Fastify: the function that listens goes, and the app is ready before it is served', () => {
  const changed = written(planOf(STARTERS['an app of Fastify']));
  expect(changed['src/server.ts']).toMatch(
    /\nawait fastify\.ready\(\)\n\nexport default fastify\.routing\n$/,
  );
  expect(changed['src/server.ts']).not.toMatch(/listen|start/);
});

test('Nitro: both modules', () => {
  const files = STARTERS['an app of Nitro'];
  expect(written(planOf(files))['nitro.config.ts']).toBe(
    replaced(files['nitro.config.ts'], [
      'serverDir: "./server",\n',
      'serverDir: "./server",\n  modules: ["workflow/nitro", "hookline/nitro"],\n',
    ]),
  );
});

test('Nuxt: its module, and ours for its Nitro', () => {
  const files = STARTERS['nuxi init'];
  expect(written(planOf(files))['nuxt.config.ts']).toBe(
    replaced(files['nuxt.config.ts'], [
      'devtools: { enabled: true }\n',
      "devtools: { enabled: true },\n  modules: ['workflow/nuxt'],\n  nitro: { modules: ['hookline/nitro'] }\n",
    ]),
  );
});

test('Astro: its integration, a server of Node, and a program that starts delivery before it', () => {
  const files = STARTERS['create-astro'];
  const plan = planOf(files);
  expect(plan).toMatchObject({ packages: [...BOTH, '@astrojs/node@9'], devPackages: [] });
  expect(written(plan)).toMatchObject({
    'astro.config.mjs': `// @ts-check
import { defineConfig } from 'astro/config';
import { workflow } from 'workflow/astro';
import node from '@astrojs/node';

process.env.WORKFLOW_TARGET_WORLD ||= 'hookline';

// https://astro.build/config
export default defineConfig({
  integrations: [workflow()],
  adapter: node({ mode: 'standalone' }),
});
`,
    'package.json': expect.stringContaining('"start": "node start.mjs"'),
    'start.mjs': expect.stringContaining("\nawait startDelivery();\nawait import('./dist/server/"),
  });
});

test('Astro: another adapter stays, and where its server starts is left to a person', () => {
  const files = STARTERS['create-astro'];
  const config = replaced(files['astro.config.mjs'], ['({})', '({ adapter: vercel() })']);
  const plan = planOf({ ...files, 'astro.config.mjs': config });
  expect(plan).toMatchObject({ packages: BOTH, byHand: [{ path: 'astro.config.mjs' }] });
  expect(Object.keys(written(plan))).toEqual(['.gitignore', 'astro.config.mjs']);
  expect(written(plan)['astro.config.mjs']).toContain(
    '({ adapter: vercel(), integrations: [workflow()] })',
  );
});

test('plain Node: a package without a program gets a server', () => {
  const plan = planOf(STARTERS['npm init']);
  expect(plan).toMatchObject({ framework: 'Node.js', packages: BOTH, devPackages: [], byHand: [] });
  expect(written(plan)['server.mjs']).toContain('await startDelivery();');
  expect(written(plan)['package.json']).toContain(
    ',\n    "build": "workflow build",\n    "start": "node server.mjs"\n  }',
  );
});

test('plain Node: an ES module cannot load what the SDK builds, and is told so', () => {
  const plan = planOf({ 'package.json': '{ "type": "module" }' });
  expect(plan.byHand).toMatchObject([{ path: 'package.json', code: '"type": "commonjs"\n' }]);
});

test('plain Node: a server of its own is left to a person', () => {
  const plan = planOf({ ...STARTERS['npm init'], 'index.js': 'listen();\n' });
  expect(plan.byHand).toMatchObject([{ path: 'index.js' }]);
  expect(Object.keys(written(plan))).toEqual(['.gitignore']);
});

test('React Router: Nitro serves what React Router builds', () => {
  const files = STARTERS['create-react-router'];
  const changed = written(planOf(files));
  expect(changed['react-router.config.ts']).toBe(
    replaced(files['react-router.config.ts'], [
      '  ssr: true,\n',
      '  ssr: true,\n  buildDirectory: "build",\n  future: { v8_viteEnvironmentApi: true },\n',
    ]),
  );
  expect(changed['server/ssr.ts']).toContain('createRequestHandler(');
  expect(changed['vite.config.ts']).toContain(`  plugins: [
    tailwindcss(),
    reactRouter(),
    tsconfigPaths(),
    nitro({ serverDir: "./server" }),
    {
      name: "react-router-nitro-manifest",`);
});

test('React Router 8 needs no flag of a future version', () => {
  const files = STARTERS['create-react-router'];
  const manifest = files['package.json'].replaceAll('7.9.2', '8.4.0');
  const changed = written(planOf({ ...files, 'package.json': manifest }));
  expect(changed['react-router.config.ts']).not.toContain('future');
});

test('Hono without a program yet: Nitro will find it, and so it does the one in server.ts', () => {
  const { 'src/index.ts': _, ...files } = STARTERS['create-hono'];
  const config = (app: Files) => written(planOf(app))['nitro.config.ts'];
  expect(config(files)).not.toContain('routes');
  const server = "import { Hono } from 'hono';\n\nexport default new Hono();\n";
  const plan = planOf({ ...files, 'server.ts': server });
  expect(written(plan)['nitro.config.ts']).not.toContain('routes');
  expect(plan).toMatchObject({ byHand: [] });
  expect(Object.keys(written(plan))).not.toContain('server.ts');
});

describe('an app that has the SDK', () => {
  const withSdk = (range: string) => {
    const files = STARTERS['create-next-app'];
    const manifest = JSON.parse(files?.['package.json'] as string);
    manifest.dependencies.workflow = range;
    return planOf({ ...files, 'package.json': JSON.stringify(manifest) });
  };

  test.each(['^4.8.9', '5.0.0-beta.55', '^5.0.0'])('keeps workflow %s', (range) => {
    const plan = withSdk(range);
    expect(plan).toMatchObject({ packages: ['hookline@0.1.0'], notes: [] });
    expect(plan.changes).toEqual(withSdk('^4.8.9').changes);
  });

  test.each(['^3.0.0', '^6.0.0'])('is told that workflow %s is of another line', (range) => {
    expect(withSdk(range).notes).toEqual([expect.stringContaining('works with 4 and 5')]);
  });
});

test('an app of a workspace is one, its root is none', () => {
  const root = { 'package.json': '{ "workspaces": ["apps/*"] }' };
  expect(() => planOf(root)).toThrow(NoAppError);
  const app = { ...STARTERS['create-next-app'], 'pnpm-workspace.yaml': '' };
  expect(planOf(app).framework).toBe('Next.js');
});

test('plain Node: a package that uses something unknown is left to a person', () => {
  const plan = planOf({ 'package.json': '{ "dependencies": { "koa": "3" } }' });
  expect(plan.byHand).toMatchObject([{ path: 'server.mjs' }]);
});

describe('files of variables', () => {
  const app = STARTERS['create-next-app'];
  const textAfter = (text: string) => written(planOf({ ...app, '.env.local': text }))['.env.local'];

  test('one that names another World is corrected, and keeps its other lines', () => {
    const text = 'A=1\nWORKFLOW_TARGET_WORLD=local # for now\nB=2\n';
    expect(textAfter(text)).toBe('A=1\nWORKFLOW_TARGET_WORLD=hookline\nB=2\n');
  });

  test.each(['A=1\n', 'WORKFLOW_TARGET_WORLD="hookline"\n', '# WORKFLOW_TARGET_WORLD=local\n'])(
    'nothing is changed in %j',
    (text) => expect(textAfter(text)).toBeUndefined(),
  );
});
