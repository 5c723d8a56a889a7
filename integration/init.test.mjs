// `npx hookline init` on the apps of the frameworks' starters: built, started, killed and resumed,
// with no other edit. A workflow and a route are added, as a user would.
//
//   node integration/run.mjs init                     the two cheapest
//   node integration/run.mjs init --full              all
//   node integration/run.mjs init 'nuxt,sveltekit'    some

import assert from 'node:assert/strict';
import { access, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort, isFull, newFolder, nodeOf, packages, program, Server } from './apps.mjs';
import { STARTERS } from './starters.mjs';

const STORY = join(dirname(fileURLToPath(import.meta.url)), 'init-story');
/** Some starters need a newer Node than the package. */
const NODE = '22';

const only = process.env.HOOKLINE_VARIANT?.split(',').filter(Boolean) ?? [];
const chosen = STARTERS.filter(({ name, isCheap }) =>
  only.length > 0 ? only.includes(name) : isFull || isCheap,
);

for (const starter of chosen) {
  describe(`hookline init after ${starter.name}`, () => {
    let app;
    let server;
    let port;
    let node;
    const npm = (...args) => {
      const PATH = [dirname(node), process.env.PATH].join(delimiter);
      return program(app, 'npm', args, undefined, { PATH, ...starter.env });
    };
    const init = async (...args) =>
      JSON.parse(await npm('exec', '--', 'hookline', '--json', 'init', ...args));
    const serve = async () => {
      server = await Server.start(app, starter.start, { port, node, path: '/' });
    };
    const story = async (body) => {
      const response = await fetch(`${server.url}/api/story`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const text = await response.text();
      assert.equal(response.status, 200, `${text}\n${server.output}`);
      return JSON.parse(text);
    };

    before(async () => {
      node = await nodeOf(NODE);
      app = join(await newFolder('init'), 'app');
      await make(starter, app, node);
      await addTarballs(app);
      await npm('install', '--no-audit', '--no-fund', '--prefer-offline');
      port = await freePort();
    });
    after(() => server?.kill());

    test('it says what it will change, and leaves nothing to do by hand', async () => {
      const before = await readFile(join(app, 'package.json'), 'utf8');
      const { changed, byHand } = await init('--dry-run');
      assert.deepEqual({ changed, byHand }, { changed: false, byHand: [] });
      assert.equal(await readFile(join(app, 'package.json'), 'utf8'), before);
    });

    test('a second run finds nothing to do', async () => {
      assert.equal((await init('--yes')).changed, true);
      const { changed, changes, commands } = await init('--yes');
      assert.deepEqual(
        { changed, changes, commands },
        { changed: false, changes: [], commands: [] },
      );
    });

    test('an approval completes, although the server is killed while it waits', async () => {
      await addStory(starter, app);
      await npm('run', 'build');
      await serve();
      const { runId } = await story({ act: 'start', invoice: '7' });
      await server.kill();
      await serve();
      assert.deepEqual(await story({ act: 'approve', invoice: '7' }), { runId });
      const done = await server.until('the end of the run', async () => {
        const { status, result } = await story({ act: 'look', runId });
        return status === 'completed' && result;
      });
      assert.equal(done, 'paid 7');
      await access(join(app, '.workflow-data', 'hookline.db'));
    });
  });
}

async function make({ command, files }, app, node) {
  if (command) {
    const PATH = [dirname(node), process.env.PATH].join(delimiter);
    await program(dirname(app), 'npm', ['exec', '--yes', '--', ...command], undefined, {
      PATH,
      CI: '1',
    });
  }
  for (const [path, text] of Object.entries(files ?? {})) {
    await mkdir(dirname(join(app, path)), { recursive: true });
    await writeFile(join(app, path), text);
  }
}

/** Adds the workflow, and the route that plays its story. */
async function addStory({ sources = '.', extension = '', routes }, app) {
  await cp(STORY, join(app, sources), { recursive: true });
  const path = join(app, sources, 'story.ts');
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace('/approval', `/approval${extension}`));
  for (const [path, route] of Object.entries(routes)) {
    await mkdir(dirname(join(app, path)), { recursive: true });
    const edited =
      typeof route === 'string' ? route : route(await readFile(join(app, path), 'utf8'));
    await writeFile(join(app, path), edited);
  }
}

/** Names the tarballs, as if they were published. */
async function addTarballs(app) {
  const path = join(app, 'package.json');
  const manifest = JSON.parse(await readFile(path, 'utf8'));
  manifest.dependencies = { ...manifest.dependencies, ...packages };
  await writeFile(path, `${JSON.stringify(manifest, undefined, 2)}\n`);
}
