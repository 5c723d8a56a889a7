// examples/eve-agent, installed and built as its users do, and driven over HTTP.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort, installApp, newFolder, nodeOf, program, Server } from './apps.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const ADDITIONS = join(here, 'eve-additions');
const EVE = join('node_modules', 'eve', 'bin', 'eve.js');
/** Runs the output as a container does. */
const IMAGE = ['--mount', '--pid', '--fork', '--kill-child', 'sh', join(here, 'eve-image.sh')];
/** The user of the image: no root. */
const IMAGE_USER = 1000;
const ADDRESS = ['--host', '127.0.0.1'];
/** Where the databases of the agents are, unless each is in a file (scripts/on-postgres.mjs). */
const SERVER = process.env.HOOKLINE_TEST_POSTGRES;
const ENVIRONMENT = { EVE_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' };

/** How an agent is served. */
export const MODES = ['start', 'dev', 'alone'];

/** Installs the example, with the tools and the model of the tests and a version of eve, and builds it. */
export async function builtAgent(version) {
  const folder = await installApp('eve-agent', 'npm', async (app) => {
    await cp(ADDITIONS, app, { recursive: true });
    if (version) await useEve(app, version);
  });
  const node = await nodeOf('24');
  await program(folder, node, [EVE, 'build'], undefined, ENVIRONMENT);
  return { folder, node };
}

async function useEve(app, version) {
  const file = join(app, 'package.json');
  const manifest = JSON.parse(await readFile(file, 'utf8'));
  manifest.dependencies.eve = version;
  await writeFile(file, JSON.stringify(manifest));
}

/** An agent that is served, killed and served again; every server has a port of its own. */
export class EveAgent {
  #servers = [];
  #server;

  /**
   * Serves a built agent with an empty database, or with the one that its environment names. `alone`:
   * the output without anything else. `image`: the same as in a container, with its database on a volume.
   */
  static async serve({ folder, node }, mode, env = {}) {
    const agent = new EveAgent();
    Object.assign(agent, { mode, node, env });
    agent.folder = ['alone', 'image'].includes(mode) ? await copyOfOutput(folder) : folder;
    if (mode === 'image') await agent.#makeVolume();
    agent.signal = join(agent.folder, 'let-slow-end');
    agent.schema = `test_${randomBytes(8).toString('hex')}`;
    for (const path of [agent.signal, join(agent.folder, '.workflow-data')]) {
      await rm(path, { recursive: true, force: true });
    }
    await agent.start();
    return agent;
  }

  async #makeVolume() {
    for (const name of ['root', 'volume']) await mkdir(join(this.folder, name));
    await chown(join(this.folder, 'volume'), IMAGE_USER, IMAGE_USER);
    this.env = { WORKFLOW_HOOKLINE_URL: '/data/hookline.db', ...this.env };
  }

  /** Starts the next server. */
  async start() {
    const port = await freePort();
    const args = {
      start: [EVE, 'start', ...ADDRESS, '--port', `${port}`],
      dev: [EVE, 'dev', '--no-ui', ...ADDRESS, '--port', `${port}`],
      alone: [join('.output', 'server', 'index.mjs')],
      image: [...IMAGE, this.folder, this.node],
    }[this.mode];
    const env = {
      ...ENVIRONMENT,
      HOST: '127.0.0.1',
      LET_SLOW_END: this.signal,
      ...(SERVER && { WORKFLOW_HOOKLINE_URL: `${SERVER}&schema=${this.schema}` }),
      ...this.env,
    };
    const node = this.mode === 'image' ? 'unshare' : this.node;
    this.#server = Server.spawn(this.folder, args, { port, env, node });
    this.#servers.push(this.#server);
    this.#server.url = `http://127.0.0.1:${port}`;
    await this.until('an answer', () => isAnswering(this.#server.url));
  }

  /** Kills the server and all its children at once, and starts the next one. */
  async restart() {
    await this.kill();
    await this.start();
  }

  /**
   * Kills the command alone: the server that `eve dev` has started below it ends by itself, within 15
   * seconds. Resolves when it takes no request any more, to what kills it.
   */
  async killCommand() {
    const { url } = this.#server;
    const killTheRest = await this.#server.killAlone();
    while (await isAnswering(url)) await pause(20);
    return killTheRest;
  }

  kill(signal) {
    return this.#server.kill(signal);
  }

  until(what, look) {
    return this.#server.until(what, look);
  }

  /** What all servers have printed. */
  get output() {
    return this.#servers.map(({ output }) => output).join('\n--\n');
  }

  /** Waits until the servers have printed a text so many times. */
  hasPrinted(text, times = 1) {
    return this.until(`${text}, ${times} times`, () => this.printed(text) >= times);
  }

  /** How often the servers have printed a text. */
  printed(text) {
    return this.output.split(text).length - 1;
  }

  /** Lets the slow tool take its time again. */
  holdSlow() {
    return rm(this.signal, { force: true });
  }

  /** Lets the slow tool end. */
  letSlowEnd() {
    return writeFile(this.signal, '');
  }

  /** Starts a session with a message; returns it. */
  async begin(message) {
    const { status, body } = await this.post('session', { message });
    assert.equal(status, 202, `${JSON.stringify(body)}\n${this.output}`);
    return new Session(this, body.sessionId);
  }

  async post(path, body = {}) {
    const response = await fetch(`${this.#server.url}/eve/v1/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: await response.json().catch(() => undefined) };
  }

  async get(path) {
    const response = await fetch(`${this.#server.url}/eve/v1/${path}`);
    return { status: response.status, text: await response.text() };
  }

  /** Whether the files of the database hold a text, or its rows on Postgres. */
  async stores(text) {
    if (SERVER) {
      const args = ['-d', SERVER, '-n', this.schema, '--data-only'];
      const rows = execFileSync('pg_dump', args, { encoding: 'utf8', maxBuffer: 1 << 28 });
      return rows.includes(text) || rows.includes(Buffer.from(text).toString('hex'));
    }
    const folder = join(this.folder, '.workflow-data');
    for (const name of await readdir(folder)) {
      const bytes = await readFile(join(folder, name)).catch(() => undefined);
      if (bytes?.includes(text)) return true;
    }
    return false;
  }
}

const isAnswering = (url) =>
  fetch(`${url}/eve/v1/health`).then(
    ({ ok }) => ok,
    () => false,
  );

/** One conversation. */
export class Session {
  constructor(agent, id) {
    this.agent = agent;
    this.id = id;
  }

  /** Its events so far; none when its history is gone. */
  async history() {
    const { status, text } = await this.agent.get(`session/${this.id}/stream?follow=false`);
    if (status !== 200) return [];
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  async types() {
    return (await this.history()).map(({ type }) => type);
  }

  /** The event of a type, the nth of them. */
  event(type, nth = 1) {
    return this.agent.until(`${type} ${nth} of ${this.id}`, async () =>
      (await this.history()).filter((event) => event.type === type).at(nth - 1),
    );
  }

  /** The agent's nth answer. */
  answer(nth = 1) {
    return this.agent.until(`answer ${nth} of ${this.id}`, async () => {
      const ended = (await this.history()).filter(
        ({ type, data }) => type === 'message.completed' && data.finishReason === 'stop',
      );
      return ended.at(nth - 1)?.data.message;
    });
  }

  /** Sends a message, or the answers to requests; a session may not be ready for it at once. */
  send(body) {
    return this.agent.until(`${JSON.stringify(body)} is taken`, async () => {
      const answer = await this.agent.post(`session/${this.id}`, body);
      if (answer.status < 300) return answer;
      assert.equal(answer.body?.code, 'session_not_ready', JSON.stringify(answer));
    });
  }

  say(message) {
    return this.send({ message });
  }

  /** Approves what the tool of a turn that waits has asked for. */
  async approve() {
    const [{ requestId }] = (await this.event('input.requested')).data.requests;
    return this.send({ inputResponses: [{ requestId, optionId: 'approve' }] });
  }

  async command(name) {
    const { status, body } = await this.agent.post(`session/${this.id}/${name}`);
    assert.ok(status < 300, `${name}: ${status} ${JSON.stringify(body)}`);
  }
}

/** The built output in a folder of its own, as an image holds it. */
async function copyOfOutput(from) {
  const folder = await newFolder('eve-alone');
  const output = join(folder, '.output');
  await cp(join(from, '.output'), output, { recursive: true, verbatimSymlinks: true });
  return folder;
}
