/**
 * Gathers options and environment without checking them: the addon checks them when it opens. So
 * making a World can neither fail nor touch anything.
 */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WorldOptions } from '../../index';
import { appFolderOf } from './build-folder';
import type { Variable } from './variables';

/** The JSON that `new NativeWorld()` takes; each value is unchanged, and absent when not set. */
export interface NativeConfig {
  url?: string;
  listenUrl?: string;
  durability?: string;
  concurrency?: string;
  role?: string;
  delivery?: string;
  baseUrl?: string;
  queueNamespace?: string;
  /** For the command line: whether the queue names of the database count instead. */
  takesQueueNames?: boolean;
  environment?: string;
  deploymentId?: string;
  fileSystem?: string;
  migrate?: string;
  encryptionKeys?: string;
  tokens?: string;
  traceTokens?: string;
  codeMismatch?: string;
  /** For a World for tests: the milliseconds by which its clock is ahead. */
  forTests?: number;
}

/** The option with which `hookline/testing` makes a World whose time can be skipped. */
export const FOR_TESTS = Symbol.for('hookline//for-tests');

/** The option with which the command line takes whatever queue names the database has. */
export const TAKES_QUEUE_NAMES = Symbol.for('hookline//takes-queue-names');

const BASE_PATH = Symbol.for('@workflow/core/basePath');
/** The default database, in the folder of the app. */
const DEFAULT_PATH = join('.workflow-data', 'hookline.db');

/**
 * The configuration of a World: an option wins over its `WORKFLOW_HOOKLINE_*` variable.
 *
 * Call this at the first use, not when the World is made: a build makes Worlds too, without the
 * environment in which the app will run.
 */
export function readConfig(options: WorldOptions): NativeConfig {
  return {
    url: setting(options.url, 'WORKFLOW_HOOKLINE_URL') ?? defaultUrl(),
    listenUrl: setting(options.listenUrl, 'WORKFLOW_HOOKLINE_LISTEN_URL'),
    durability: setting(options.durability, 'WORKFLOW_HOOKLINE_DURABILITY'),
    concurrency: setting(options.concurrency, 'WORKFLOW_HOOKLINE_CONCURRENCY'),
    role: setting(options.role, 'WORKFLOW_HOOKLINE_ROLE'),
    delivery: delivery(setting(options.delivery, 'WORKFLOW_HOOKLINE_DELIVERY')),
    baseUrl: setting(options.baseUrl, 'WORKFLOW_HOOKLINE_BASE_URL'),
    queueNamespace: setting(undefined, 'WORKFLOW_QUEUE_NAMESPACE'),
    takesQueueNames: (options as { [TAKES_QUEUE_NAMES]?: boolean })[TAKES_QUEUE_NAMES],
    // Each hook stores this as the environment in which it was made.
    environment: setting(undefined, 'NODE_ENV'),
    deploymentId: setting(undefined, 'WORKFLOW_HOOKLINE_DEPLOYMENT_ID'),
    fileSystem: setting(options.fileSystem, 'WORKFLOW_HOOKLINE_FILE_SYSTEM'),
    migrate: setting(options.migrate, 'WORKFLOW_HOOKLINE_MIGRATE'),
    encryptionKeys: setting(keyRing(options.encryptionKeys), 'WORKFLOW_HOOKLINE_ENCRYPTION_KEYS'),
    tokens: setting(options.tokens, 'WORKFLOW_HOOKLINE_TOKENS'),
    traceTokens: setting(options.traceTokens, 'WORKFLOW_HOOKLINE_TRACE_TOKENS'),
    codeMismatch: setting(options.codeMismatch, 'WORKFLOW_HOOKLINE_CODE_MISMATCH'),
    forTests: (options as { [FOR_TESTS]?: number })[FOR_TESTS],
  };
}

/** Whether spans hold the tokens of hooks. */
export function tracesTokens({ traceTokens }: NativeConfig): boolean {
  return traceTokens === 'true';
}

/**
 * In a Next.js server a message must arrive through the app's own route. There Next.js makes the
 * request context that steps need (`cookies()`, `revalidatePath()`, `after()`). Also, every bundle
 * that imports the SDK registers handlers, and most of these know none of the app's steps.
 */
function delivery(mode = 'auto'): string {
  // A standalone server has only the second variable.
  const isNext = process.env.NEXT_RUNTIME || process.env.__NEXT_PRIVATE_ORIGIN;
  return mode === 'auto' && isNext ? 'http' : mode;
}

/**
 * A key that is equal for Worlds that share an engine. It only decides which handlers see which
 * deliveries; the addon finds the engine by the canonical path itself.
 */
export function engineKey({ url = DEFAULT_PATH }: NativeConfig): string {
  try {
    if (url.startsWith('file://')) return fileURLToPath(url);
    if (url === ':memory:' || url.includes('://')) return url;
    return resolve(url.startsWith('file:') ? url.slice('file:'.length) : url);
  } catch {
    // The URL is not a path, or the working directory is gone: opening reports that.
    return url;
  }
}

/** The default database of the last working directory that was asked for. */
let found: { cwd: string; path: string } | undefined;

/** The default database; `undefined` when the working directory is gone, which opening reports. */
function defaultUrl(): string | undefined {
  try {
    const cwd = process.cwd();
    // Every look-up by token asks for it.
    if (found?.cwd !== cwd) found = { cwd, path: join(appFolderOf(cwd), DEFAULT_PATH) };
    return found.path;
  } catch {
    return undefined;
  }
}

/**
 * Where the SDK's own variables say that this app is. It is only a hint: the app may listen elsewhere.
 */
export function appUrl(): string | undefined {
  const port = setting(undefined, 'PORT');
  // Port 0 means any free port.
  const byPort = port && port !== '0' ? `http://localhost:${port}` : undefined;
  const origin = setting(undefined, 'WORKFLOW_LOCAL_BASE_URL') ?? byPort;
  return origin && origin.replace(/\/+$/, '') + (basePath() ?? '');
}

/** The app's `basePath`, which the SDK's wrapper for Next.js keeps. */
export function basePath(): string | undefined {
  return (globalThis as { [BASE_PATH]?: string })[BASE_PATH];
}

/** The deployment id of a process, and of its runs, without a release (`src/domain/queue/offer.rs`). */
export const NO_RELEASE = 'dpl_hookline';

/** The release of this process: the id of its build; `undefined` when none is set. */
export function ownRelease(): string | undefined {
  return setting(undefined, 'WORKFLOW_HOOKLINE_DEPLOYMENT_ID');
}

/** A World's deployment id: without a release one per installation, so that it survives new builds. */
export function deploymentId(): string {
  return ownRelease() ?? NO_RELEASE;
}

/** The event ceiling per run that `WORKFLOW_MAX_EVENTS` sets; `undefined` means none. */
export function maxEvents(): number | undefined {
  const limit = Number(setting(undefined, 'WORKFLOW_MAX_EVENTS'));
  return Number.isSafeInteger(limit) && limit > 0 ? limit : undefined;
}

/** A key ring as one text. An empty ring is still a setting, so that the addon refuses it. */
function keyRing(keys: string | readonly string[] | undefined): string | undefined {
  return typeof keys === 'string' ? keys : keys?.join(',');
}

/** The variables of other programs that are settings here too. */
type Foreign =
  | 'WORKFLOW_QUEUE_NAMESPACE'
  | 'WORKFLOW_LOCAL_BASE_URL'
  | 'WORKFLOW_MAX_EVENTS'
  | 'NODE_ENV'
  | 'PORT';

function setting(option: unknown, variable: Variable | Foreign): string | undefined {
  if (option !== undefined && option !== null) return String(option);
  return process.env[variable] || undefined;
}
