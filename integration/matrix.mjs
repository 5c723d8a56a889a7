// An app of the matrix, made as a user makes one, and the story that each of them goes through.

import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  freePort,
  newFolder,
  nodeOf,
  npmInstall,
  pathWith,
  pnpmInstall,
  program,
  Server,
} from './apps.mjs';
import { SDK } from './frameworks.mjs';

const FILES = join(dirname(fileURLToPath(import.meta.url)), 'matrix');

/** How long a run may take that nothing holds up. */
const PATIENCE_MS = 90_000;
/** When a development server that may hang is started again, and how often it is started. */
const HANGING_MS = 45_000;
const STARTS_MAX = 5;

/** Looks at the app's database from a script beside the app; prints the awaited result. */
const WATCH = `
  const { getRun, waitForHook } = require('hookline');
  const [what, id] = process.argv.slice(1);
  const found = what === 'hook'
    ? waitForHook(id, { timeout: ${PATIENCE_MS} }).then(({ runId }) => runId)
    : Promise.race([
        getRun(id).returnValue,
        new Promise((_, reject) => setTimeout(reject, ${PATIENCE_MS}, new Error('no end')).unref()),
      ]);
  found.then((value) => console.log(JSON.stringify(value))).then(() => process.exit(0));`;

/** A program that resumes a run, and delivers nothing. */
const APPROVE = `
  require('hookline').resumeHook(process.argv[1], { approved: true }).then(() => process.exit(0));`;

export class MatrixApp {
  #served = [];

  /** Makes the app with its starter, and installs it with npm or, in a workspace, with pnpm. */
  static async make(name, framework, manager = 'npm') {
    const app = new MatrixApp();
    app.framework = framework;
    app.folders = framework.folders ?? [name];
    app.node = framework.node ? await nodeOf(framework.node) : process.execPath;
    app.folder = await newApp(name, framework, app.node);
    await app.withStartLine();
    const packages = [`workflow@${SDK}`, ...(framework.packages ?? [])];
    if (manager === 'npm') await npmInstall(app.folder, packages, app.node);
    else {
      const all = [...packages, ...(framework.pnpmPackages ?? [])];
      await pnpmInstall(app.folder, all, app.node);
    }
    return app;
  }

  /** Which version of a package is installed. */
  async versionOf(name) {
    const manifest = join(this.folder, 'node_modules', name, 'package.json');
    return JSON.parse(await readFile(manifest, 'utf8')).version;
  }

  /** The files of the matrix as they are. */
  withStartLine() {
    return this.#write((text) => text);
  }

  /** The same app as the SDK's own guide makes it: no start line, and the SDK's functions. */
  withVariableAlone() {
    return this.#write((text) =>
      text
        .replaceAll(/, 'hookline\/nitro'|, modules: \['hookline\/nitro'\]/g, '')
        .replaceAll(/\{ modules: \['hookline\/nitro'\] \}/g, '{}')
        .replaceAll(', startDelivery', '')
        .replaceAll(/^.*(?:startDelivery|hookline\/next).*\n/gm, '')
        .replaceAll(/withHookline\((\w+)\)/g, '$1')
        .replaceAll("from 'hookline'", "from 'workflow/api'"),
    );
  }

  async #write(change) {
    const { source = '.' } = this.framework;
    const write = (folder, to) =>
      copy(join(FILES, folder), join(this.folder, to), (text, path) =>
        change(
          path.endsWith('approvals.ts') && this.framework.title === 'NestJS' ? esm(text) : text,
        ),
      );
    await write('shared', source);
    for (const folder of this.folders) await write(folder, '.');
  }

  /** Builds the app. Returns how its server is started. */
  async built() {
    const { prepare, build, start } = this.framework;
    if (prepare) await program(this.folder, this.node, prepare);
    await program(this.folder, this.node, build);
    return start;
  }

  /**
   * Killed while a run waits, and resumed while it is dead: it completes without any request.
   * `runtime` serves the app.
   */
  async goesOnByItself(command, runtime) {
    await this.#story(
      async (server, runId) => {
        await server.kill();
        await this.#script(APPROVE, 'invoice-1');
        const next = await this.#serve(command, { runtime, waits: false });
        assert.equal(await this.#script(WATCH, 'run', runId), 'receipt 1');
        return next;
      },
      command,
      runtime,
    );
  }

  /** Killed while a run waits, and resumed by a request to the next server: it completes. */
  async goesOnAtFirstUse(command, { warns }) {
    await this.#story(async (server, runId) => {
      await server.kill();
      const next = await this.#serve(command, {});
      await this.#post(next, { invoice: '1', approved: true });
      assert.equal(await this.#script(WATCH, 'run', runId), 'receipt 1');
      assert.equal(next.output.includes('HOOKLINE_NO_START_LINE'), warns, next.output);
      return next;
    }, command);
  }

  /** A run pauses, `interrupt` kills the server and ends it on another one, a second run completes. */
  async #story(interrupt, command, runtime) {
    await rm(join(this.folder, '.workflow-data'), { recursive: true, force: true });
    let server = await this.#serve(command, { runtime });
    try {
      const { runId } = await this.#post(server, { invoice: '1' });
      assert.equal(await this.#script(WATCH, 'hook', 'invoice-1'), runId);
      server = await interrupt(server, runId);
      await server.answers();
      const second = await this.#post(server, { invoice: '2' });
      await this.#script(WATCH, 'hook', 'invoice-2');
      await this.#post(server, { invoice: '2', approved: true });
      assert.equal(await this.#script(WATCH, 'run', second.runId), 'receipt 2');
      const payments = this.#served
        .map(({ output }) => output)
        .join('')
        .match(/paying \d/g);
      assert.deepEqual(payments?.sort(), ['paying 1', 'paying 2']);
    } catch (error) {
      throw new Error(
        `${error.message}\n${this.#served.map(({ output }) => output).join('\n--\n')}`,
      );
    } finally {
      await Promise.all(this.#served.splice(0).map((served) => served.kill()));
    }
  }

  async #serve(command, { waits = true, ...options }) {
    const mayHang = this.framework.devHangs && command === this.framework.dev;
    for (let starts = 1; ; starts += 1) {
      const server = await this.#spawn(command, options);
      try {
        if (waits) await server.answers('/', mayHang ? HANGING_MS : undefined);
        return server;
      } catch (error) {
        if (!mayHang || starts === STARTS_MAX) throw error;
      }
    }
  }

  async #spawn(command, { runtime = this.node }) {
    const port = await freePort();
    const args = command.map((argument) => argument.replace('$PORT', port));
    const env = { WORKFLOW_TARGET_WORLD: 'hookline' };
    const server = Server.spawn(this.folder, args, { port, env, node: runtime });
    this.#served.push(server);
    return server;
  }

  async #post(server, body) {
    const response = await fetch(`${server.url}/api/approvals`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    assert.ok(response.ok, `${response.status} ${text}`);
    return JSON.parse(text);
  }

  async #script(code, ...args) {
    const output = await program(this.folder, this.node, ['-e', code, ...args]);
    return output && JSON.parse(output);
  }
}

/** A fresh app: the output of its starter, or an empty package. */
async function newApp(name, { starter, type = 'module' }, node) {
  const folder = await newFolder(name);
  const app = join(folder, 'app');
  if (starter) {
    const env = { PATH: pathWith(node), CI: '1' };
    await program(folder, 'npx', ['--yes', ...starter], undefined, env);
  } else {
    await mkdir(app);
    const manifest = { name: 'app', private: true, type };
    await writeFile(join(app, 'package.json'), JSON.stringify(manifest));
  }
  return app;
}

/** Copies a folder of texts, each changed; an empty one is removed. */
async function copy(from, to, change) {
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const target = join(to, path.slice(from.length));
    const text = change(await readFile(path, 'utf8'), path);
    await mkdir(dirname(target), { recursive: true });
    if (text.trim() === '') await rm(target, { force: true });
    else await writeFile(target, text);
  }
}

/** Imports as Node's ES modules want them. */
function esm(text) {
  return text.replaceAll(/from '(\.[^']+)'/g, "from '$1.js'");
}
