/** Shared parts of the tests: databases in the temporary folder, and runs with hooks on them. */
import { type SpawnOptions, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildSync } from 'esbuild';
import { createWorld, type Hook, type World, type WorldOptions } from 'hookline';
import { databaseIn, onPostgres } from './databases';

/** A test of what only files have. */
export const testOfFile = onPostgres ? test.skip : test;
/** A test of what only a database for several hosts has. */
export const testOfPostgres = onPostgres ? test : test.skip;

/** The root of the package. */
export const ROOT = join(__dirname, '..');

/**
 * Loads a module of `ts/` with the SDK's ES modules bundled into it, because Jest cannot load those
 * itself. The module is evaluated in the test's realm, as `dist/` is, with `fileName` as its
 * `__filename`.
 */
export function loadModule<T>(path: string, fileName = join(ROOT, path)): T {
  const { outputFiles } = buildSync({
    entryPoints: [join(ROOT, path)],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    // The SDK does not export these. The build finds them by path, and they load only when a value
    // is serialized.
    external: ['capabilities', 'flushable-stream', 'version']
      .map((it) => `@workflow/core/${it}`)
      .concat(join(ROOT, 'node_modules/workflow-5/*')),
    write: false,
  });
  const module = { exports: {} };
  const evaluate = new Function(
    'module',
    'exports',
    'require',
    '__filename',
    '__dirname',
    outputFiles[0]?.text ?? '',
  );
  evaluate(module, module.exports, require, fileName, dirname(fileName));
  return module.exports as T;
}

const folders: string[] = [];
const worlds: World[] = [];

/** A new empty folder, removed by {@link cleanUp}. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hookline-test-'));
  folders.push(folder);
  return folder;
}

/** The URL of a database that does not exist yet. */
export function newDatabase(): string {
  return databaseIn(newFolder());
}

/** A World, by default on a database of its own; {@link cleanUp} closes it. */
export function newWorld(options: WorldOptions = {}): World {
  const world = createWorld({ url: newDatabase(), ...options });
  worlds.push(world);
  return world;
}

/** Closes the Worlds and removes the folders that the tests of a file made. */
export async function cleanUp(): Promise<void> {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** A payload as the SDK stores it: the format's name, then devalue text. */
export function devalue(text: string): Uint8Array {
  return new TextEncoder().encode(`devl${text}`);
}

/** The SDK's bytes for a string. */
export function devalueString(value: string): Uint8Array {
  return devalue(JSON.stringify([value]));
}

/** A running run, by default of line 4. */
export async function newRun(
  world: World,
  { specVersion = 3, workflowName = 'workflow//./a//b' } = {},
): Promise<string> {
  const { run } = await world.events.create(null, {
    eventType: 'run_created',
    specVersion,
    eventData: {
      deploymentId: 'dpl_test',
      workflowName,
      input: devalue('[[]]'),
      executionContext: { workflowCoreVersion: '4.8.9' },
    },
  });
  const runId = (run as { runId: string }).runId;
  await world.events.create(runId, { eventType: 'run_started', specVersion });
  return runId;
}

let hooks = 0;

/** A live hook with this token, by default on a run of its own. */
export async function newHook(
  world: World,
  token: string,
  { runId, ...data }: { runId?: string; metadata?: unknown; isWebhook?: boolean } = {},
): Promise<Hook> {
  hooks += 1;
  const { hook } = await world.events.create(runId ?? (await newRun(world)), {
    eventType: 'hook_created',
    specVersion: 3,
    correlationId: `hook_${hooks}`,
    eventData: { token, ...data },
  });
  return hook as Hook;
}

/** Makes a World the World of this process, as the SDK's `setWorld()` does. */
export function useAsSdkWorld(world: World | undefined): void {
  const globals = globalThis as { [key: symbol]: unknown };
  globals[Symbol.for('@workflow/world//cache')] = world;
}

/**
 * Gives each test of the file a World on a database of its own, as the World of the process. `take`
 * gets it before the test, and it is closed and removed after the test.
 */
export function worldPerTest(
  take: (made: { world: World; url: string }) => void,
  options: WorldOptions = {},
): void {
  beforeEach(() => {
    const url = newDatabase();
    const world = newWorld({ url, ...options });
    useAsSdkWorld(world);
    take({ world, url });
  });
  afterEach(async () => {
    useAsSdkWorld(undefined);
    delete process.env.WORKFLOW_HOOKLINE_URL;
    delete process.env.WORKFLOW_HOOKLINE_ENCRYPTION_KEYS;
    await cleanUp();
  });
}

/** The events of a run, by type. */
export async function eventTypes(world: World, runId: string): Promise<string[]> {
  const { data } = await world.events.list({ runId, pagination: { limit: 1000 } });
  return data.map((event) => event.eventType);
}

/** All texts that a stream yields until it ends. */
export async function readAll(stream: ReadableStream<Uint8Array>): Promise<string[]> {
  const texts: string[] = [];
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return texts;
    texts.push(new TextDecoder().decode(value));
  }
}

/**
 * The variables of a process that a test starts: those of this process and `added`. Options that
 * Jest gives Node are not for its children.
 */
export function childEnv(added: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return { ...process.env, NODE_OPTIONS: '', ...added };
}

/** How a child process ended. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  ms: number;
}

/** Runs Node on a script; `onOutput` sees standard output as it grows. */
export function runNode(
  args: string[],
  options: SpawnOptions = {},
  onOutput?: (stdout: string, kill: (signal: NodeJS.Signals) => void) => void,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const started = Date.now();
    const child = spawn(process.execPath, args, { cwd: ROOT, timeout: 60_000, ...options });
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (data) => {
      stdout += data;
      onOutput?.(stdout, (signal) => child.kill(signal));
    });
    child.stderr?.on('data', (data) => {
      stderr += data;
    });
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({ code, signal, stdout, stderr, ms: Date.now() - started }),
    );
  });
}
