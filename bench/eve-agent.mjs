/** examples/eve-agent, built for two Worlds, and driven over HTTP. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pack } from '../scripts/pack.mjs';

const QUIET = { EVE_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' };
const RETRY_MS = 2;
const NAMED_WORLD = "  experimental: { workflow: { world: 'hookline' } },\n";
const MEMORY_WORLD = 'bench-memory-world';
const here = dirname(fileURLToPath(import.meta.url));

/**
 * Builds the example with Hookline, with eve's local World, and with one in memory; returns where, and a
 * Node for it.
 */
export async function buildAgents(folder) {
  process.env.HOOKLINE_APPS = folder;
  const packages = await pack(join(folder, 'packages'));
  process.env.HOOKLINE_PACKAGES = JSON.stringify(
    Object.fromEntries(packages.map(({ name, file }) => [name, file])),
  );
  const { installApp, nodeOf, program } = await import('../integration/apps.mjs');
  const node = await nodeOf('24');
  const app = await installApp('eve-agent', 'npm');
  const config = join(app, 'agent', 'agent.ts');
  const text = await readFile(config, 'utf8');
  const build = async (name, source) => {
    await writeFile(config, source);
    await program(app, node, ['node_modules/eve/bin/eve.js', 'build'], undefined, QUIET);
    const output = join(folder, name, '.output');
    await cp(join(app, '.output'), output, { recursive: true, verbatimSymlinks: true });
    return join(folder, name);
  };
  const hookline = await build('hookline', text);
  const local = await build('local', text.replace(NAMED_WORLD, ''));
  await addMemoryWorld(app);
  const memory = await build(
    'memory',
    text.replace("world: 'hookline'", `world: '${MEMORY_WORLD}'`),
  );
  return { node, hookline, local, memory };
}

/** Puts the World of the limit into an app, as a package. */
async function addMemoryWorld(app) {
  const place = join(app, 'node_modules', MEMORY_WORLD);
  await mkdir(place);
  await cp(join(here, 'memory-world-5.cjs'), join(place, 'index.cjs'));
  const manifest = { name: MEMORY_WORLD, version: '1.0.0', main: 'index.cjs' };
  await writeFile(join(place, 'package.json'), JSON.stringify(manifest));
}

/** A built agent that is served. */
export class Agent {
  #child;
  #waiting = new Map();

  /** Starts it in a folder, which processes may share; resolves when it answers. */
  static async start(node, output, folder) {
    await mkdir(folder, { recursive: true });
    const agent = new Agent();
    const port = await freePort();
    agent.url = `http://127.0.0.1:${port}/eve/v1`;
    const env = { ...process.env, ...QUIET, NODE_ENV: 'production', HOST: '127.0.0.1' };
    agent.#child = spawn(node, [join(output, '.output', 'server', 'index.mjs')], {
      cwd: folder,
      env: { ...env, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    agent.#read();
    while (!(await agent.#answers())) await pause(RETRY_MS);
    return agent;
  }

  async #read() {
    for await (const line of createInterface({ input: this.#child.stdout })) {
      this.#waiting.get(line)?.shift()?.(performance.now());
    }
  }

  async #answers() {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) throw new Error('the agent has ended');
    return fetch(`${this.url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  /** When it prints this line next. */
  prints(line) {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(line) ?? [];
      this.#waiting.set(line, [...waiting, resolve]);
    });
  }

  /** Its processor time so far; 0 where the system does not say. */
  async cpuMs() {
    const stat = await readFile(`/proc/${this.#child.pid}/stat`, 'utf8').catch(() => '');
    const [user, system] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12, 14);
    const TICK_MS = 10;
    return (Number(user ?? 0) + Number(system ?? 0)) * TICK_MS;
  }

  async post(path, body) {
    const response = await fetch(`${this.url}/session${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { ok: response.ok, body: await response.json() };
  }

  /** Begins a session with a message. */
  async begin(message) {
    const { ok, body } = await this.post('', { message });
    if (!ok) throw new Error(JSON.stringify(body));
    return new Session(this, body.sessionId);
  }

  async stop(signal = 'SIGKILL') {
    const ended = once(this.#child, 'exit');
    if (this.#child.kill(signal)) await ended;
  }
}

/** A session whose stream is followed. */
class Session {
  #events;
  #ends = new AbortController();

  constructor(agent, id) {
    this.agent = agent;
    this.id = id;
    this.#events = this.#follow();
  }

  async *#follow() {
    const options = { signal: this.#ends.signal };
    const { body } = await fetch(`${this.agent.url}/session/${this.id}/stream`, options);
    const lines = createInterface({ input: Readable.fromWeb(body) });
    for await (const line of lines) if (line) yield JSON.parse(line);
  }

  /** The next event of a type. */
  async event(type) {
    for (;;) {
      const { value, done } = await this.#events.next();
      if (done) throw new Error(`the stream has ended before ${type}`);
      if (value.type === type) return value;
    }
  }

  /** Sends a message or answers, again while the session is not ready. */
  async send(body) {
    for (;;) {
      const answer = await this.agent.post(`/${this.id}`, body);
      if (answer.ok) return;
      if (answer.body.code !== 'session_not_ready') throw new Error(JSON.stringify(answer.body));
      await pause(RETRY_MS);
    }
  }

  /** A whole turn: a message, and all of the answer. */
  async turn(message) {
    await this.send({ message });
    await this.event('session.waiting');
  }

  /** Follows it no more. */
  leave() {
    this.#ends.abort();
  }
}

async function freePort() {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
