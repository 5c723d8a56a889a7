// The approval app of examples/, as its users install, build and run it.

import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
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
import { ask, cardOf, decide, finished, openBrowser, openPage } from './browser.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const ADDITIONS = join(here, 'next-additions');
const GUIDES = join(here, '..', 'docs');
/** How much of a server's output goes with a failure. */
const OUTPUT_SHOWN = 4000;
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
  let server;
  let page;
  let serve;
  let database;

  before(async () => {
    const app = appOf();
    await rm(join(app, '.workflow-data'), { recursive: true, force: true });
    const built = await prepare(app, bundler, mode);
    database = join(built.folder, '.workflow-data', 'hookline.db');
    const port = await freePort();
    serve = (more = {}) =>
      Server.start(built.folder, built.args(port), {
        port,
        node: built.node,
        env: { ...env, ...more },
      });
    server = await serve();
    page = await openPage(browser);
  });
  after(async () => {
    await page?.close();
    await server?.kill();
  });

  /** A new page: a kill may cut one short, and in development a page then reloads itself. */
  const anew = async () => {
    await page.close();
    page = await openPage(browser);
  };

  /** A test whose failure shows the output of the server. */
  const holds = (name, story) =>
    test(name, async () => {
      try {
        await story();
      } catch (error) {
        console.log(`The server:\n${server.output.slice(-OUTPUT_SHOWN)}`);
        throw error;
      }
    });

  holds('a form, a click, the step’s result', async () => {
    const runId = await ask(page, server.url, { title: 'New chairs', amount: 1200 });
    const card = await cardOf(page, server.url, runId);
    assert.match(await card.textContent(), /New chairs[\s\S]*Grace[\s\S]*€1,200/);
    await decide(page, card, 'Approve', runId);
    const lines = await finished(page, server.url, runId);
    // Each time names its zone.
    const times = await page.locator('.progress time').allTextContents();
    assert.ok(
      times.length > 2 && times.every((time) => /\d\d:\d\d:\d\d (?:UTC|GMT|[A-Z]+)/.test(time)),
      `${times}`,
    );
    assert.deepEqual(lines.slice(0, 2), ['Grace asks for €1,200', 'Approved by Ada']);
    assert.match(lines[2], /^Paid, receipt R-[0-9A-F]{8}$/);
    await page.goto(server.url);
    assert.equal(await page.locator(`[data-run="${runId}"]`).count(), 0);
  });

  holds('a rejection pays nothing', async () => {
    const runId = await ask(page, server.url, { title: 'A yacht', requester: 'Linus' });
    await decide(page, await cardOf(page, server.url, runId), 'Reject', runId);
    const lines = await finished(page, server.url, runId);
    assert.deepEqual(lines, ['Linus asks for €420', 'Rejected by Ada', 'Nothing was paid']);
  });

  holds(
    'a link approves by a webhook, when its button is pressed and not when it is opened',
    async () => {
      const runId = await ask(page, server.url, { title: 'By mail' });
      const card = await cardOf(page, server.url, runId);
      await card.getByText('approval link').click();
      const form = page.locator('form', { hasText: 'By mail' });
      const webhook = new URL(await form.getAttribute('action'), server.url);
      const opened = await fetch(webhook, { redirect: 'manual' });
      assert.equal(opened.status, 303);
      await form.getByRole('button', { name: 'Approve' }).click();
      await page.waitForURL(`${server.url}/runs/${runId}`);
      await page.getByText('Approved by link').waitFor();
      // It is pending no more, though it is not yet paid.
      await page.getByText('back to what is pending').click();
      await page.getByRole('heading', { name: 'Pending' }).waitFor();
      assert.equal(await page.locator(`[data-run="${runId}"]`).count(), 0);
      const lines = await finished(page, server.url, runId);
      assert.equal(lines[1], 'Approved by link');
      const decided = await fetch(webhook, { method: 'POST' });
      assert.equal(decided.status, 404);
      const gone = await page.goto(`${server.url}/approve/${webhook.pathname.split('/').pop()}`);
      assert.equal(gone.status(), 404);
      await page.getByText('works until somebody has decided').waitFor();
    },
  );

  holds('the REST route resumes, and answers 404 to a token that nobody waits for', async () => {
    const runId = await ask(page, server.url, { title: 'By another system' });
    const card = await cardOf(page, server.url, runId);
    const token = await card.locator('[name=token]').inputValue();
    const post = () =>
      fetch(`${server.url}/api/hooks`, {
        method: 'POST',
        body: JSON.stringify({ token, data: { approved: true, by: 'the other' } }),
      });
    const resumed = await post();
    assert.deepEqual(await resumed.json(), { runId });
    assert.equal((await finished(page, server.url, runId))[1], 'Approved by the other');
    const gone = await post();
    assert.equal(gone.status, 404);
    assert.deepEqual(await gone.json(), { error: 'Hook not found' });
  });

  holds('a click on what somebody else has decided says so', async () => {
    const runId = await ask(page, server.url, { title: 'Twice' });
    const late = await cardOf(page, server.url, runId);
    const other = await openPage(browser);
    await decide(other, await cardOf(other, server.url, runId), 'Reject', runId);
    await finished(other, server.url, runId);
    await other.close();
    await late.getByRole('button', { name: 'Approve' }).click();
    await page.getByRole('alert').getByText('Somebody else has decided already.').waitFor();
  });

  holds('a step has the request that Next.js gives to a route', async () => {
    const answer = await fetch(`${server.url}/api/context`, { method: 'POST' });
    assert.deepEqual(await answer.json(), { cookies: 0, isRequest: true, revalidated: true });
    await server.until('after()', () => server.output.includes('ran after the step'));
  });

  holds('what runs without Node says so when it is called, and breaks no build', async () => {
    const answer = await (await fetch(`${server.url}/api/edge`)).json();
    assert.equal(answer.isMissing, false);
    assert.match(answer.message, /^getHookByToken\(\) of hookline cannot run here/);
    await page.goto(`${server.url}/client`);
    await page.getByText('HookNotFoundError').waitFor();
  });

  // A development server takes long to start, and delivers as any other.
  if (mode !== 'dev' || isFull) {
    holds(
      'killed between the click and what follows: after a restart it completes, once',
      async () => {
        const runId = await ask(page, server.url, { title: 'Through a crash' });
        await server.kill();
        const before = server.output;
        // A server that takes clicks and delivers nothing: so the kill certainly comes in between.
        server = await serve({ WORKFLOW_HOOKLINE_ROLE: 'producer' });
        await decide(page, await cardOf(page, server.url, runId), 'Approve', runId);
        await server.kill();
        server = await serve();
        await anew();
        const lines = await finished(page, server.url, runId);
        assert.match(lines[2], /^Paid, receipt/);
        const paid = (before + server.output).match(/paying €420 for Through a crash/g);
        assert.equal(paid?.length, 1);
        const types = await eventTypes(appOf(), database, runId);
        const count = (type) => types.filter((one) => one === type).length;
        // Three reports, the payment and the end of the report: each once.
        assert.deepEqual(
          [count('hook_received'), count('step_completed'), count('run_completed')],
          [1, 5, 1],
        );
      },
    );
  }

  if (mode !== 'dev') {
    holds(
      'killed at the click, at whatever moment: after a restart it completes, once',
      async () => {
        const runId = await ask(page, server.url, { title: 'Through another' });
        await decide(page, await cardOf(page, server.url, runId), 'Approve', runId);
        await server.kill();
        server = await serve();
        await anew();
        await finished(page, server.url, runId);
        const types = await eventTypes(appOf(), database, runId);
        assert.equal(types.filter((type) => type === 'hook_received').length, 1);
        assert.equal(types.filter((type) => type === 'step_completed').length, 5);
      },
    );
  }

  if (mode === 'dev') {
    holds('after an edit the same engine goes on with the new code', async () => {
      const source = join(appOf(), 'workflows', 'approval.ts');
      const text = await readFile(source, 'utf8');
      const route = join(appOf(), 'app', 'actions.ts');
      const routeText = await readFile(route, 'utf8');
      // The SDK's watcher (4.8.9) may take the first change for the start of its watch, with every
      // World; so the first change is none.
      await writeFile(source, `${text}\n`);
      const runId = await ask(page, server.url, { title: 'Edited' });
      const owners = await readdir(`${database}-owners`);
      let seen = [];
      try {
        const edited = text.replace("'Approved'", "'Accepted'").replace("'Rejected'", "'Declined'");
        await writeFile(source, edited);
        await writeFile(route, routeText.replace("'Ada'", "'Edith'"));
        await server.until('the edited code', async () => {
          const id = await ask(page, server.url, { title: 'Edited' });
          await decide(page, await cardOf(page, server.url, id), 'Approve', id);
          seen = await finished(page, server.url, id);
          return seen.includes('Accepted by Edith');
        });
        assert.deepEqual(await readdir(`${database}-owners`), owners);
        // So does what began before the edit.
        await decide(page, await cardOf(page, server.url, runId), 'Reject', runId);
        seen = await finished(page, server.url, runId);
        assert.equal(seen[1], 'Declined by Edith');
      } catch (error) {
        error.message = `${error.message}\nSeen: ${seen.join('; ')}`;
        throw error;
      } finally {
        await writeFile(source, text);
        await writeFile(route, routeText);
      }
    });
  }
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

/** The log of a run, read by the package that the app has installed. */
async function eventTypes(app, database, runId) {
  const { createWorld } = createRequire(join(app, 'index.js'))('hookline');
  const world = createWorld({ url: database, role: 'reader' });
  const { data } = await world.events.list({ runId, pagination: { limit: 1000 } });
  await world.close();
  return data.map(({ eventType }) => eventType);
}
