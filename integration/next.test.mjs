// The approval app of examples/, as its users install, build and run it.

import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  freePort,
  installApp,
  isFull,
  NODES,
  newFolder,
  nodeOf,
  ownTests,
  program,
  Server,
} from './apps.mjs';
import { openBrowser, openPage } from './browser.mjs';
import { approvals, crashAfterClick, crashAtClick, edit, runtimes } from './next-stories.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const ADDITIONS = join(here, 'next-additions');
const GUIDES = join(here, '..', 'docs');
const NEXT = join('node_modules', 'next', 'dist', 'bin', 'next');

/** Which managers, bundlers and ways to serve: `standalone` is run from a folder of its own. */
const EVERY = ['npm', 'pnpm'].flatMap((manager) =>
  ['turbopack', 'webpack'].flatMap((bundler) =>
    ['dev', 'start', 'standalone'].map((mode) => ({ manager, bundler, mode })),
  ),
);
/** Each manager, bundler and mode at least once, in two builds. */
const DEFAULT = ['npm turbopack dev', 'npm webpack start', 'pnpm turbopack standalone'];

/** Each way to serve with its build, each on another Node. */
const NODE_OF = { start: '20', standalone: '22', dev: '24' };

const only = process.env.HOOKLINE_VARIANT?.split(',').filter(Boolean) ?? [];
const chosen = EVERY.filter(({ manager, bundler, mode }) => {
  const name = `${manager} ${bundler} ${mode}`;
  return only.length > 0 ? only.includes(name) : isFull || DEFAULT.includes(name);
});
/** Whether the unusual set-ups are tried: `bare`, without hookline/next, and `base path`. */
const tries = (name) => (only.length > 0 ? only.includes(name) : isFull);

const nameOf = ({ bundler, mode }) => `${bundler}, ${mode}, on Node ${NODE_OF[mode]}`;

let browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

for (const manager of new Set(chosen.map((variant) => variant.manager))) {
  describe(`installed with ${manager}`, () => {
    let app;
    before(async () => {
      app = await installApp('next-approval', manager, (folder) =>
        cp(ADDITIONS, folder, { recursive: true }),
      );
    });
    for (const version of manager === 'npm' ? NODES : NODES.slice(0, 1)) {
      test(`the tests of the app itself pass, under next/jest, on Node ${version}`, () =>
        ownTests(app, version));
    }
    for (const variant of chosen.filter((one) => one.manager === manager)) {
      describe(nameOf(variant), () => driven(() => app, variant));
    }
  });
}

if (tries('bare')) {
  describe('without hookline/next, as the SDK’s own guide sets a World up', () => {
    let app;
    before(async () => {
      app = await installApp('next-approval', 'npm', asTheSdkGuideSays);
    });
    const env = { WORKFLOW_TARGET_WORLD: 'hookline' };
    for (const [bundler, mode] of [
      ['turbopack', 'start'],
      ['webpack', 'start'],
      ['turbopack', 'dev'],
      ['webpack', 'dev'],
    ]) {
      describe(nameOf({ bundler, mode }), () => driven(() => app, { bundler, mode, env }));
    }
  });
}

if (tries('base path')) {
  test('below a base path and behind a proxy.ts, standalone, messages arrive', async () => {
    const app = await installApp('next-approval', 'npm', asTheGuideSays);
    const built = await prepare(app, 'turbopack', 'standalone');
    const port = await freePort();
    const server = await Server.start(built.folder, built.args(port), { port, node: built.node });
    const ask = (headers) => fetch(`${server.url}/desk/api/context`, { method: 'POST', headers });
    assert.equal((await ask({})).status, 401);
    assert.equal((await (await ask({ 'x-user': 'Ada' })).json()).revalidated, true);
    await server.kill();
  });
}

/** docs/nextjs.md: a base path, a proxy.ts with its matcher, an instrumentation with more to do. */
async function asTheGuideSays(app) {
  await cp(ADDITIONS, app, { recursive: true });
  const config = join(app, 'next.config.ts');
  const text = await readFile(config, 'utf8');
  await writeFile(config, text.replace('= {};', `= { basePath: '/desk' };`));
  const guide = await readFile(join(GUIDES, 'nextjs.md'), 'utf8');
  const block = (beginning) => {
    const found = [...guide.matchAll(/```ts\n([\s\S]*?)```/g)].find(([, code]) =>
      code.startsWith(beginning),
    );
    assert.ok(found, `the guide has no ${beginning}`);
    return found[1];
  };
  await writeFile(
    join(app, 'proxy.ts'),
    `export function proxy(request: Request) {
       if (!request.headers.has('x-user')) return new Response(null, { status: 401 });
     }
     ${block('export const config')}`,
  );
  await writeFile(join(app, 'instrumentation.ts'), block('import { register as'));
}

async function asTheSdkGuideSays(app) {
  await cp(ADDITIONS, app, { recursive: true });
  const config = `import { withWorkflow } from 'workflow/next';\nexport default withWorkflow({});\n`;
  await writeFile(join(app, 'next.config.ts'), config);
  await writeFile(
    join(app, 'instrumentation.ts'),
    `export async function register() {
       if (process.env.NEXT_RUNTIME !== 'edge') {
         const { getWorld } = await import('workflow/runtime');
         await getWorld().start?.();
       }
     }\n`,
  );
}

/** Builds, serves, and does everything that must hold whatever the variant. */
function driven(appOf, { bundler, mode, env = {} }) {
  const at = { openPage: () => openPage(browser) };

  before(async () => {
    at.app = appOf();
    await rm(join(at.app, '.workflow-data'), { recursive: true, force: true });
    const built = await prepare(at.app, bundler, mode);
    at.database = join(built.folder, '.workflow-data', 'hookline.db');
    const port = await freePort();
    at.serve = (more = {}) =>
      Server.start(built.folder, built.args(port), {
        port,
        node: built.node,
        env: { ...env, ...more },
      });
    // A kill may cut a page short, and in development it then reloads itself.
    at.anew = async () => {
      await at.page?.close();
      at.page = await at.openPage();
    };
    at.server = await at.serve();
    await at.anew();
  });
  after(async () => {
    await at.page?.close();
    await at.server?.kill();
  });

  approvals(at);
  runtimes(at);
  // A development server takes long to start, and delivers as any other.
  if (mode !== 'dev' || isFull) crashAfterClick(at);
  if (mode === 'dev') edit(at);
  else crashAtClick(at);
}

/** Builds if the mode needs it; returns where the server runs, on which Node, and its arguments. */
async function prepare(app, bundler, mode) {
  const node = await nodeOf(NODE_OF[mode]);
  if (mode === 'dev') {
    const flags = bundler === 'webpack' ? ['--webpack'] : ['--turbopack'];
    await rm(join(app, '.next'), { recursive: true, force: true });
    const args = (port) => [join(app, NEXT), 'dev', ...flags, '-p', String(port)];
    return { folder: app, node, args };
  }
  const config = join(app, 'next.config.ts');
  const text = await readFile(config, 'utf8');
  const standalone = text.replace('= {', `= { output: 'standalone',`);
  if (mode === 'standalone') await writeFile(config, standalone);
  try {
    await rm(join(app, '.next'), { recursive: true, force: true });
    await program(app, node, [NEXT, 'build', `--${bundler}`]);
  } finally {
    await writeFile(config, text);
  }
  const opened = (await readdir(app)).includes('.workflow-data');
  assert.equal(opened, false, 'the build has opened a database');
  if (mode === 'start') {
    return { folder: app, node, args: (port) => [NEXT, 'start', '-p', String(port)] };
  }
  return { folder: await moveAway(app), node, args: () => ['server.js'] };
}

/** The standalone output where nothing else can be found: as an image would hold it. */
async function moveAway(app) {
  const folder = join(await newFolder('standalone'), 'app');
  await cp(join(app, '.next', 'standalone'), folder, { recursive: true, verbatimSymlinks: true });
  await cp(join(app, '.next', 'static'), join(folder, '.next', 'static'), { recursive: true });
  return folder;
}
