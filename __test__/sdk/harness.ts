/**
 * Runs fixture applications as child processes, for tests that need the whole SDK (an ES module).
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pauseBetweenWrites, untilPaused } from '../crash/harness';
import { databaseIn } from '../databases';

export type Via = 'sdk' | 'hookline';

/** The installed packages of the SDK, one of each line. */
export const SDKS = ['workflow', 'workflow-5'] as const;
export type Sdk = (typeof SDKS)[number];

/** A package, or the path of a module. */
export type World = 'hookline' | 'local' | `/${string}`;

/** A record as the fixture application shows it: its fields, and their JavaScript kinds. */
export interface Entity {
  runId: string;
  hookId: string;
  token: string;
  metadata?: unknown;
  kinds: Record<string, string>;
  [field: string]: unknown;
}

export interface LoggedEvent {
  eventId: string;
  eventType: string;
  correlationId?: string;
}

const ROOT = resolve(__dirname, '../..');
/** The first start compiles the workflows. */
const START_LIMIT_MS = 110_000;
const STOP_LIMIT_MS = 10_000;
const running = new Set<App>();
const folders: string[] = [];

/** An error that the application answered with. */
export class RemoteError extends Error {
  readonly token?: string;

  constructor(readonly remote: { name: string; message: string; token?: string }) {
    super(remote.message);
    this.name = remote.name;
    if (remote.token !== undefined) this.token = remote.token;
  }
}

/** A fresh folder for one database; removed after the tests of the file. */
export function freshData(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hookline-sdk-'));
  folders.push(folder);
  return folder;
}

/**
 * A folder of an app in which the package `workflow` is this one, as the SDK, this package and its
 * tools find it from the working directory.
 */
export function installedFolder(sdk: Sdk): string {
  const folder = freshData();
  const modules = join(folder, 'node_modules');
  mkdirSync(modules);
  symlinkSync(join(ROOT, 'node_modules', sdk), join(modules, 'workflow'), 'junction');
  symlinkSync(ROOT, join(modules, 'hookline'), 'junction');
  return folder;
}

/** Ends every application of this file and removes their databases; for `afterAll`. */
export async function cleanUp(): Promise<void> {
  await Promise.all([...running].map((app) => app.stop()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export interface AppOptions {
  data: string;
  world?: World;
  sdk?: Sdk;
  /** A producer never calls `start()` and loads no workflow code. */
  role?: 'worker' | 'producer';
  env?: Record<string, string>;
}

export async function startApp(options: AppOptions): Promise<App> {
  const { data, world = 'hookline', sdk = 'workflow', role = 'worker', env = {} } = options;
  const child = spawn(process.execPath, [join(ROOT, '__test__/fixtures/app.mjs')], {
    cwd: installedFolder(sdk),
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      PORT: undefined,
      WORKFLOW_TARGET_WORLD: world,
      WORKFLOW_LOCAL_DATA_DIR: join(data, 'local'),
      WORKFLOW_HOOKLINE_URL: databaseIn(data),
      APP_SDK: sdk,
      APP_ROLE: role,
      ...env,
    },
  });
  const output: string[] = [];
  const ended = once(child, 'exit');
  const port = await readyPort(child, ended, output).catch((error: Error) => {
    child.kill('SIGKILL');
    throw new Error(`the application did not start: ${error.message}\n${output.join('\n')}`);
  });
  const app = new App(child, ended, output, `http://127.0.0.1:${port}`);
  running.add(app);
  return app;
}

function readyPort(child: ChildProcess, ended: Promise<unknown>, output: string[]) {
  return new Promise<number>((ready, reject) => {
    const look = (line: string) => {
      const [, port] = /^{"port":(\d+)/.exec(line) ?? [];
      if (port) ready(Number(port));
      else output.push(line);
    };
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', look);
    }
    const limit = AbortSignal.timeout(START_LIMIT_MS);
    limit.onabort = () => reject(new Error(`silent for ${START_LIMIT_MS} ms`));
    ended.then((how) => reject(new Error(`it ended: ${how}`)), reject);
  });
}

export class App {
  constructor(
    private readonly child: ChildProcess,
    readonly ended: Promise<unknown>,
    /** What the process printed, line by line. */
    readonly output: string[],
    readonly url: string,
  ) {}

  /** Asks for an operation of __test__/fixtures/operations.mjs. */
  async ask<T = unknown>(operation: string, input: object = {}): Promise<T> {
    const response = await this.post(operation, input);
    const answer = (await response.json()) as { value: T; error?: RemoteError['remote'] };
    if (answer.error) throw new RemoteError(answer.error);
    return answer.value;
  }

  start(workflow: string, ...args: unknown[]): Promise<string> {
    return this.ask('start', { workflow, args });
  }

  result<T = unknown>(runId: string): Promise<T> {
    return this.ask('result', { runId });
  }

  resume(via: Via, token: string, payload: unknown): Promise<Entity> {
    return this.ask('resume', { via, token, payload });
  }

  hooksReady(...tokens: string[]): Promise<void> {
    return this.ask('hooksReady', { tokens });
  }

  async eventTypes(runId: string): Promise<string[]> {
    return (await this.ask<LoggedEvent[]>('events', { runId })).map((event) => event.eventType);
  }

  /** The chunks that the run writes to its stream, as they come. */
  async *stream(runId: string): AsyncGenerator<unknown> {
    const { body } = await this.post('stream', { runId });
    if (!body) throw new Error(`no stream of ${runId}`);
    let rest = '';
    for await (const text of body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line);
    }
  }

  get pid(): number {
    return this.child.pid as number;
  }

  /** Pauses the process between two writes; resolves when it has stopped. */
  async pause(): Promise<void> {
    await pauseBetweenWrites(this.child);
  }

  /** Waits until the process has stopped, by any signal. */
  async paused(): Promise<void> {
    await untilPaused(this.child);
  }

  /** Continues a paused process. */
  goOn(): void {
    this.child.kill('SIGCONT');
  }

  /** SIGKILL: no handler of the process runs. */
  async kill(): Promise<void> {
    await this.dies('SIGKILL');
  }

  /** Sends a signal, and waits until the process has ended. */
  async dies(signal: NodeJS.Signals): Promise<void> {
    running.delete(this);
    this.child.kill(signal);
    await this.ended;
  }

  /** SIGTERM, as a deployment does; SIGKILL for a process that does not obey. */
  async stop(): Promise<void> {
    running.delete(this);
    // A process that a failed test left paused receives no signal.
    this.goOn();
    this.child.kill('SIGTERM');
    const impatience = setTimeout(() => this.child.kill('SIGKILL'), STOP_LIMIT_MS);
    await this.ended;
    clearTimeout(impatience);
  }

  private post(operation: string, input: object): Promise<Response> {
    const body = JSON.stringify(input);
    return fetch(`${this.url}/control/${operation}`, { method: 'POST', body });
  }
}
