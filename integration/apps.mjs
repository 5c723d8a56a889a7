// Fresh apps with the packed tarballs, and the programs that run in them.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SDK } from './frameworks.mjs';

export { freePort } from '../scripts/free-port.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const tarballs = JSON.parse(process.env.HOOKLINE_PACKAGES ?? '{}');

/** The packed packages, as dependencies of an app. */
export const packages = Object.fromEntries(
  Object.entries(tarballs).map(([name, file]) => [name, `file:${file}`]),
);

/** Whether all tests run, and not only those that every change must pass. */
export const isFull = process.env.HOOKLINE_FULL === '1';

/** The pnpm that runs on every Node that is supported. */
const PNPM = '10.34.9';
const INSTALL_LIMIT_MS = 240_000;
const PROGRAM_LIMIT_MS = 300_000;
/** A registry that stops in the middle of an answer is asked again, well before an install's limit. */
const FETCHES = { npm_config_fetch_timeout: '30000', npm_config_fetch_retries: '4' };
/** A development server compiles before it answers. */
const START_LIMIT_MS = 180_000;

/** The Nodes that are supported. */
export const NODES = ['20', '22', '24'];

/** What a machine sets so that its programs find each other and the registry. */
const OF_THE_MACHINE =
  /^(?:PATH|HOME|TMPDIR|npm_config_registry|(?:https?|no)_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_\w+)$/i;

/** The environment of a user without any settings. */
export function cleanEnvironment(more = {}) {
  const kept = Object.entries(process.env).filter(([name]) => OF_THE_MACHINE.test(name));
  return { ...Object.fromEntries(kept), ...FETCHES, NEXT_TELEMETRY_DISABLED: '1', ...more };
}

/** A new folder for this run of the tests. */
export function newFolder(name) {
  return mkdtemp(join(process.env.HOOKLINE_APPS, `${name}-`));
}

/**
 * An example, copied outside the repository and installed with npm or pnpm; `alter` may change its
 * files before. Returns its folder.
 */
export async function installApp(example, manager, alter = async () => {}) {
  const app = await newFolder(`${example}-${manager}`);
  await cp(join(here, '..', 'examples', example), app, {
    recursive: true,
    filter: (source) =>
      !/[/\\](?:node_modules|\.eve|\.next|\.nitro|\.output|\.well-known|\.workflow-data)$/.test(
        source,
      ),
  });
  await alter(app);
  const manifest = JSON.parse(await readFile(join(app, 'package.json'), 'utf8'));
  await installManifest(app, manager, manifest);
  return app;
}

/** Installs the dependencies of a manifest, and this package. */
export async function installManifest(app, manager, manifest) {
  const { hookline, ...platforms } = packages;
  manifest.dependencies.hookline = hookline;
  if (manifest.dependencies.workflow) manifest.dependencies.workflow = SDK;
  // A registry would give the platform package; here each manager is told where it is.
  if (manager === 'npm') Object.assign(manifest.dependencies, platforms);
  else manifest.pnpm = { overrides: platforms };
  await writeFile(join(app, 'package.json'), JSON.stringify(manifest, undefined, 2));
  await install(app, manager);
}

async function install(app, manager) {
  if (manager === 'npm')
    return program(app, 'npm', ['install', '--no-audit', '--no-fund', '--prefer-offline']);
  const args = [await pnpm(), 'install', '--prefer-offline', '--store-dir', pnpmStore()];
  await program(app, process.execPath, args, INSTALL_LIMIT_MS);
}

/** Installs packages, and this one, into an app with npm on a Node. */
export function npmInstall(app, packages, node) {
  const args = ['install', '--no-audit', '--no-fund', '--prefer-offline'];
  const all = [...args, ...packages, ...Object.values(tarballs)];
  return program(app, 'npm', all, INSTALL_LIMIT_MS, { PATH: pathWith(node) });
}

/** The same with pnpm, for an app whose parent folder is to be a workspace. */
export async function pnpmInstall(app, packages, node) {
  const { hookline, ...platforms } = tarballs;
  const root = dirname(app);
  await writeFile(join(root, 'pnpm-workspace.yaml'), "packages: ['app']\n");
  const manifest = { private: true, pnpm: { overrides: platforms } };
  await writeFile(join(root, 'package.json'), JSON.stringify(manifest));
  const args = [await pnpm(), 'add', '--prefer-offline', '--store-dir', pnpmStore()];
  const PATH = pathWith(node);
  await program(
    app,
    node,
    [...args, ...packages.filter((name) => !name.startsWith('-')), hookline],
    INSTALL_LIMIT_MS,
    { PATH },
  );
}

/** The search path with a Node first. */
export function pathWith(node) {
  return [dirname(node), process.env.PATH].join(delimiter);
}

const pnpmStore = () => join(process.env.HOOKLINE_APPS, 'pnpm-store');

const tools = new Map();

/** The folder of a package of npm that holds a tool, installed once. */
function tool(name) {
  if (!tools.has(name)) tools.set(name, installTool(name));
  return tools.get(name);
}

async function installTool(name) {
  const folder = await newFolder('tool');
  await program(folder, 'npm', ['install', '--no-audit', '--no-fund', name]);
  return join(folder, 'node_modules');
}

const pnpm = async () => join(await tool(`pnpm@${PNPM}`), 'pnpm', 'bin', 'pnpm.cjs');

/** The binary of a Node, which the `node` package of npm holds. */
export async function nodeOf(version) {
  return join(await tool(`node@${version}`), 'node', 'bin', 'node');
}

/** The binary of Bun, and of Deno. */
export async function bun() {
  return join(await tool('@oven/bun-linux-x64@1'), '@oven', 'bun-linux-x64', 'bin', 'bun');
}
export async function deno() {
  return join(await tool('@deno/linux-x64-glibc@2'), '@deno', 'linux-x64-glibc', 'deno');
}

/** An app's own tests on a Node. */
export async function ownTests(app, version) {
  const PATH = pathWith(await nodeOf(version));
  return program(app, 'npm', ['test'], PROGRAM_LIMIT_MS, { PATH });
}

/** Runs a program to its end in a folder; its output is the error when it fails. */
export async function program(cwd, command, args, timeout = PROGRAM_LIMIT_MS, env = {}) {
  try {
    const environment = { env: cleanEnvironment(env), maxBuffer: 64 * 1024 * 1024 };
    // npm answers SIGTERM only when its fetches have ended.
    const options = { cwd, timeout, killSignal: 'SIGKILL', ...environment };
    return (await promisify(execFile)(command, args, options)).stdout;
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}\n${error.stdout}\n${error.stderr}`, {
      cause: error,
    });
  }
}

/** A server of an app: a process group, so that killing it leaves no child behind. */
export class Server {
  #child;
  #ended;
  output = '';

  /** Starts it, as `spawn` does. Resolves when it answers. */
  static async start(cwd, args, { path, ...options }) {
    const server = Server.spawn(cwd, args, options);
    await server.answers(path);
    return server;
  }

  /** Starts it; `args` are those of Node. */
  static spawn(cwd, args, { port, env = {}, node = process.execPath }) {
    const server = new Server();
    server.url = `http://localhost:${port}`;
    server.#child = spawn(node, args, {
      cwd,
      env: cleanEnvironment({ PORT: String(port), ...env }),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    for (const stream of [server.#child.stdout, server.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        server.output += text;
      });
    }
    server.#ended = once(server.#child, 'exit');
    return server;
  }

  /** Waits until it answers; a development server that still compiles answers 503 or 500. */
  answers(path = '/', limitMs = START_LIMIT_MS) {
    const answers = () =>
      fetch(this.url + path).then(
        ({ status }) => status < 500,
        () => false,
      );
    return this.until('an answer', answers, limitMs);
  }

  /** Looks again and again until `look` gives something true. */
  async until(what, look, limitMs = 90_000) {
    const limit = Date.now() + limitMs;
    while (Date.now() < limit && this.#child.exitCode === null) {
      const found = await look();
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await this.kill();
    throw new Error(`${what} did not come\n${this.output}`);
  }

  /** Ends it and all programs below it at once, as a power cut would; resolves when it is gone. */
  async kill(signal = 'SIGKILL') {
    signalGroups(await groupsOf(this.#child.pid), signal);
    return this.#ended;
  }

  /** Ends it alone; resolves when it is gone, to what ends the programs below it. */
  async killAlone() {
    const groups = await groupsOf(this.#child.pid);
    this.#child.kill('SIGKILL');
    await this.#ended;
    return () => signalGroups(groups, 'SIGKILL');
  }
}

function signalGroups(groups, signal) {
  for (const group of groups) {
    try {
      process.kill(-group, signal);
    } catch {
      // It has ended by itself.
    }
  }
}

/** The process groups of a program and of all programs below it. A server may put its own in one. */
async function groupsOf(root) {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,ppid=,pgid=']);
  const rows = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const below = (parent) =>
    rows.filter(([, ppid]) => ppid === parent).flatMap(([pid, , pgid]) => [pgid, ...below(pid)]);
  return new Set([root, ...below(root)]);
}
