// The frameworks of the matrix: how a fresh app is made, built and served. The files of each app are in
// matrix/, over those of its starter; docs/frameworks.md shows them.

const NITRO = 'nitro@3.0.260610-beta';
const VITE = ['node_modules/vite/bin/vite.js'];
const NITRO_CLI = ['node_modules/nitro/dist/cli/index.mjs'];
const SERVER = ['.output/server/index.mjs'];

/** The SDK of all apps: line 4, or the version that `--sdk` names. */
export const SDK = process.env.HOOKLINE_SDK || '4.8.9';

const LOST_STEPS = 'SDK 4.8.9 loses the steps that Nitro 2 builds, with its local World too';

const LOST_PACKAGE =
  'Nitro 2.13 leaves out jose, which Bun wants to load with SDK 4.8.9, with its local World too';

/** Apps that Nitro's own command builds. */
const byNitro = { build: [...NITRO_CLI, 'build'], start: SERVER, dev: [...NITRO_CLI, 'dev'] };
/** Apps that Vite builds, with Nitro. */
const byVite = {
  build: [...VITE, 'build'],
  start: SERVER,
  dev: [...VITE, 'dev', '--port', '$PORT'],
};

const reactRouter = (version) => [
  ...['react-router', '@react-router/node', '@react-router/dev'].map(
    (name) => `${name}@${version}`,
  ),
  ...['isbot@5', 'react@19', 'react-dom@19', 'vite@8', NITRO],
];
const nextjs = {
  folders: ['nextjs'],
  build: ['node_modules/next/dist/bin/next', 'build'],
  start: ['node_modules/next/dist/bin/next', 'start'],
  dev: ['node_modules/next/dist/bin/next', 'dev'],
};

/**
 * One entry for each framework.
 *
 * - `title`: its section of docs/frameworks.md.
 * - `tested`: a package, and how its installed version begins. docs/frameworks.md has it in its table, and
 *   the matrix asserts it. Without one, the versions are those of Node.
 * - `starter`: the starter, run with npx; `app` is the folder that it makes. Without one, the app begins
 *   with an empty package.
 * - `type`: of the empty package's modules, by default `module`.
 * - `packages`: what npm installs beside `workflow` and `hookline`; options are npm's.
 * - `pnpmPackages`: what pnpm must install besides.
 * - `folders`: of matrix/, by default the one named as the framework.
 * - `source`: where the approvals and the workflow are.
 * - `node`: the Node that it needs, if not any.
 * - `prepare`, `build`: commands of Node; `start`, `dev`: servers, where `$PORT` is the port.
 * - `failsAlone`: why the app cannot be built without the start line's module.
 * - `failsOnBun`: why the built server does not start on Bun.
 * - `devHangs`: whether the development server sometimes does not come up, so that users start it again.
 * - `lineInDevelopment`: false, if the start line is for the built server only.
 * - `elsewhere`: whether another test runs an app of this framework in every run.
 */
export const FRAMEWORKS = {
  'nextjs-16': {
    title: 'Next.js',
    tested: { next: '16.4' },
    ...nextjs,
    starter: [
      'create-next-app@16.4.3',
      'app',
      '--yes',
      '--empty',
      '--skip-install',
      '--disable-git',
    ],
    elsewhere: true,
  },
  'nextjs-15': {
    title: 'Next.js',
    tested: { next: '15.5' },
    ...nextjs,
    starter: [
      'create-next-app@15.5.28',
      'app',
      '--yes',
      '--empty',
      '--skip-install',
      '--disable-git',
    ],
  },
  nitro: {
    title: 'Nitro 3',
    tested: { nitro: '3.0.260610-beta' },
    ...byNitro,
    packages: [NITRO],
    elsewhere: true,
  },
  'nitro-2': {
    title: 'Nitro 2',
    tested: { nitropack: '2.13' },
    packages: ['nitropack@2.13.6', 'h3@1'],
    source: 'server',
    build: ['node_modules/nitropack/dist/cli/index.mjs', 'build'],
    start: SERVER,
    dev: ['node_modules/nitropack/dist/cli/index.mjs', 'dev'],
    failsAlone: LOST_STEPS,
    failsOnBun: LOST_PACKAGE,
  },
  hono: {
    title: 'Hono',
    tested: { hono: '4.13' },
    ...byNitro,
    packages: [NITRO, 'hono@4.13.19'],
    elsewhere: true,
  },
  express: {
    title: 'Express',
    tested: { express: '5.3' },
    ...byNitro,
    packages: [NITRO, 'express@5.3.0'],
  },
  fastify: {
    title: 'Fastify',
    tested: { fastify: '5.12' },
    ...byNitro,
    packages: [NITRO, 'fastify@5.12.8'],
  },
  vite: {
    title: 'Vite',
    tested: { vite: '8' },
    ...byVite,
    starter: ['create-vite@9.3.0', 'app', '--template', 'react-ts', '--no-interactive'],
    packages: [NITRO],
  },
  sveltekit: {
    title: 'SvelteKit',
    tested: { '@sveltejs/kit': '2' },
    ...byVite,
    starter: [
      ...['sv@0.17.1', 'create', 'app', '--template', 'minimal', '--types', 'ts'],
      ...['--no-add-ons', '--no-install'],
    ],
    packages: ['@sveltejs/adapter-node@5'],
    source: 'src',
    node: '22',
    start: ['build/index.js'],
  },
  astro: {
    title: 'Astro',
    tested: { astro: '7.3' },
    packages: ['astro@7.3.5', '@astrojs/node@11.1.6'],
    source: 'src',
    node: '22',
    build: ['node_modules/astro/bin/astro.mjs', 'build'],
    start: ['start.mjs'],
    dev: ['node_modules/astro/bin/astro.mjs', 'dev', '--port', '$PORT'],
    lineInDevelopment: false,
  },
  nuxt: {
    title: 'Nuxt',
    tested: { nuxt: '4.5' },
    packages: ['nuxt@4.5.2', 'h3@1'],
    // The SDK's module for Nuxt names it, and pnpm does not hoist it; with the local World too.
    pnpmPackages: ['@workflow/nitro@4.1.15'],
    source: 'server',
    node: '22',
    build: ['node_modules/nuxt/bin/nuxt.mjs', 'build'],
    start: SERVER,
    dev: ['node_modules/nuxt/bin/nuxt.mjs', 'dev', '--port', '$PORT'],
    failsAlone: LOST_STEPS,
    failsOnBun: LOST_PACKAGE,
  },
  'react-router-8': {
    title: 'React Router',
    tested: { 'react-router': '8.4' },
    ...byVite,
    folders: ['react-router'],
    packages: reactRouter('8.4.0'),
  },
  'react-router-7': {
    title: 'React Router',
    tested: { 'react-router': '7.18' },
    ...byVite,
    folders: ['react-router', 'react-router-7'],
    packages: reactRouter('7.18.4'),
  },
  'tanstack-start': {
    title: 'TanStack Start',
    tested: { '@tanstack/react-start': '1' },
    ...byVite,
    starter: [
      ...['@tanstack/cli@0.71.0', 'create', 'app', '--package-manager', 'npm'],
      ...['--no-git', '--no-install', '--yes'],
    ],
    packages: [NITRO],
    source: 'src',
    // On a busy machine Nitro's worker and Vite sometimes never hear of each other, without any World
    // too (2 of 6 starts): every request is answered with 500.
    devHangs: true,
  },
  nestjs: {
    title: 'NestJS',
    tested: { '@nestjs/core': '12' },
    starter: [
      ...['@nestjs/cli@12.0.8', 'new', 'app', '--skip-git', '--skip-install'],
      ...['--package-manager', 'npm'],
    ],
    // The SDK's compiler loads in 1.15.3 only, and Nest's command line names a later one as its peer.
    packages: ['--legacy-peer-deps', '@workflow/nest@4.0.25', '@swc/cli@0.8.1', '@swc/core@1.15.3'],
    source: 'src',
    prepare: ['node_modules/@workflow/nest/dist/cli.js', 'init', '--force'],
    build: ['node_modules/@nestjs/cli/bin/nest.js', 'build'],
    start: ['dist/main.js'],
    dev: ['node_modules/@nestjs/cli/bin/nest.js', 'start', '--watch'],
  },
  node: {
    title: 'Plain Node',
    type: 'commonjs',
    build: ['node_modules/workflow/bin/run.js', 'build'],
    start: ['server.mjs'],
  },
};
