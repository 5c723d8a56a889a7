// The SDK's own web UI (`npx workflow web --backend hookline`) on a database that an app is using, in
// a real Chromium, on a file and on Postgres: what it shows, that looking writes nothing, and that a hook
// is resumed from it.
//
// HOOKLINE_SCREENSHOTS=1 takes the pictures of the documentation anew.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startPostgres } from '../scripts/postgres.mjs';
import { freePort, newFolder, program, Server } from './apps.mjs';
import { openBrowser } from './browser.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const tarballs = JSON.parse(process.env.HOOKLINE_PACKAGES ?? '{}');
/** The web server of SDK 4.8.9 needs `node:sqlite`, which Node 20 does not have. */
const NODE = { package: `node-${process.platform}-${process.arch}`, version: '22.23.3' };
const WAIT_MS = 60_000;

let folder;
let database;
let app;
let web;
let browser;
/** Hashes what is in the database. */
let content;
const runs = {};

before(async () => {
  folder = await installed();
  browser = await openBrowser();
});

after(() => browser?.close());

async function begin() {
  app = await startApp();
  await fill();
  web = await startWeb();
}

async function end() {
  await web?.kill();
  app?.child.kill('SIGKILL');
}

describe('on a file', () => {
  before(async () => {
    database = join(folder, 'data', 'hookline.db');
    content = contentOfFile;
    await begin();
  });
  after(end);
  stories();
});

describe('on Postgres', () => {
  let postgres;

  before(async () => {
    const script = join(root, 'scripts', 'install-postgres.sh');
    const programs = execFileSync('bash', [script], { encoding: 'utf8' }).trim();
    const [place, port] = [await newFolder('web-postgres'), await freePort()];
    postgres = startPostgres({ programs, place, port, settings: ['fsync=off'] });
    database = postgres.url;
    content = () => contentOfSchema(join(programs, 'pg_dump'));
    await begin();
  });
  after(async () => {
    await end();
    postgres?.stop();
  });
  stories();
});

/** A folder with the packed package, the SDK and a Node for its web server. */
async function installed() {
  const made = await newFolder('web');
  const packages = Object.entries(tarballs).map(([name, file]) => [name, `file:${file}`]);
  const dependencies = {
    ...Object.fromEntries(packages),
    workflow: '4.8.9',
    [NODE.package]: NODE.version,
  };
  await writeFile(join(made, 'package.json'), JSON.stringify({ private: true, dependencies }));
  await program(made, 'npm', ['install', '--no-audit', '--no-fund', '--prefer-offline']);
  return made;
}

/** The application of the tests, which serves and delivers on the same database. */
async function startApp() {
  const child = spawn(process.execPath, [join(root, '__test__', 'fixtures', 'app.mjs')], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      WORKFLOW_TARGET_WORLD: 'hookline',
      WORKFLOW_HOOKLINE_URL: database,
    },
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const [, port] = /^{"port":(\d+)/.exec(line) ?? [];
    // The rest of its output is read, or it would block some day.
    if (port) {
      child.stdout.resume();
      return { child, port, ask: (operation, input) => ask(port, operation, input) };
    }
  }
  throw new Error('the application ended');
}

async function ask(port, operation, input) {
  const url = `http://127.0.0.1:${port}/control/${operation}`;
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(input) });
  const { value, error } = await response.json();
  if (error) throw new Error(`${operation}: ${error.name} ${error.message}`);
  return value;
}

async function fill() {
  const start = (workflow, ...args) => app.ask('start', { workflow, args });
  runs.done = await start('approval', 'done', 'holidays');
  await app.ask('hooksReady', { tokens: ['done'] });
  const payload = { approved: true, by: 'Ada' };
  await app.ask('resume', { via: 'hookline', token: 'done', payload });
  await app.ask('result', { runId: runs.done });
  runs.parallel = await start('parallel', 4);
  runs.retrying = await start('retrying');
  for (const runId of [runs.parallel, runs.retrying]) await app.ask('result', { runId });
  runs.waiting = await start('approval', 'waiting-token', 'a raise');
  await app.ask('hooksReady', { tokens: ['waiting-token'] });
}

async function startWeb() {
  const port = await freePort();
  const modules = join(folder, 'node_modules');
  const args = ['web', '--backend', 'hookline', '--noBrowser', '--webPort', String(port)];
  return Server.start(folder, [join(modules, 'workflow', 'bin', 'run.js'), ...args], {
    port,
    node: join(modules, NODE.package, 'bin', 'node'),
    env: { WORKFLOW_HOOKLINE_URL: database, PORT: app.port },
  });
}

async function openPage(path) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(WAIT_MS);
  // What the page would fetch from elsewhere is not there; waiting for it would only take time.
  await page.route(
    (url) => url.hostname !== 'localhost',
    (route) => route.abort(),
  );
  await page.goto(web.url + path);
  return page;
}

async function picture(page, name) {
  if (process.env.HOOKLINE_SCREENSHOTS !== '1') return;
  await page.screenshot({ path: join(root, 'docs', 'images', name) });
}

function contentOfFile() {
  const hash = createHash('sha256');
  for (const end of ['', '-wal']) {
    if (existsSync(database + end)) hash.update(readFileSync(database + end));
  }
  return hash.digest('hex');
}

/** Without what the worker says of itself. */
function contentOfSchema(dump) {
  const args = ['--data-only', '-n', 'hookline', '-T', 'hookline.owners', '-d', database];
  const rows = execFileSync(dump, args, { encoding: 'utf8' });
  // A word that each dump draws anew.
  return createHash('sha256')
    .update(rows.replace(/^\\(un)?restrict .*$/gm, ''))
    .digest('hex');
}

function stories() {
  test('runs, steps, events and hooks show, and looking at them writes nothing', async () => {
    const before = content();
    const list = await openPage('/');
    await list.waitForSelector('text=Connected to: hookline');
    for (const runId of Object.values(runs)) await list.waitForSelector(`text=${runId}`);
    await picture(list, 'web-runs.png');
    await list.close();

    const hooks = await openPage('/?tab=hooks');
    await hooks.waitForSelector(`text=${runs.waiting}`);
    await hooks.close();

    const done = await openPage(`/run/${runs.done}`);
    await done.waitForSelector('text=publish');
    await done
      .getByRole('tab', { name: 'Events' })
      .or(done.locator('button:text-is("Events")'))
      .click();
    for (const eventType of ['Hook Created', 'Hook Received', 'Step Completed', 'Run Completed']) {
      await done.waitForSelector(`text=${eventType}`);
    }
    await done.close();

    const parallel = await openPage(`/run/${runs.parallel}`);
    await parallel.waitForSelector('text=square');
    await picture(parallel, 'web-run.png');
    await parallel.close();
    assert.equal(content(), before);
  });

  test('a hook is resumed from the web UI, and its run completes', async () => {
    const page = await openPage(`/run/${runs.waiting}`);
    // It grows for as long as the run waits, so it never stands still.
    await page.locator('button:has-text("Waiting")').first().click({ force: true });
    await page.getByRole('button', { name: 'Resolve Hook' }).click();
    await page.locator('textarea').fill('{"approved": true, "by": "the web UI"}');
    await page
      .getByRole('dialog')
      .getByRole('button', { name: /resolve|submit|send/i })
      .click();
    const { record } = await app.ask('result', { runId: runs.waiting });
    assert.equal(record, 'a raise: approved by the web UI');
    await page.close();
  });
}
