/** The parts that all commands share: the World, the printer, the exit codes. */
import { resolve } from 'node:path';
import type { World, WorldOptions } from '../../index';
import { engineKey, readConfig, TAKES_QUEUE_NAMES } from '../engine/config';
import type { Engine } from '../engine/engine';
import { absence } from '../engine/place';
import { createWorld } from '../index';
import { engineOf } from '../world/world';
import { createPrinter, type Printer } from './print';

/** Exit codes; the guide lists them. */
export const EXIT = { done: 0, failed: 1, usage: 2, notFound: 3, problems: 4 } as const;

/** The options that every command takes. */
export interface GlobalOptions {
  url?: string;
  json?: boolean;
  envFile?: string;
}

/** The context of a command. */
export interface Context {
  print: Printer;
  /** Where the database is, for people. */
  location: string;
  /** A World on the database, opened at its first use and closed at the end of the command. */
  world(role: NonNullable<WorldOptions['role']>, options?: { create: boolean }): World;
}

/** An expected failure of a command, with its exit code. */
export class CommandError extends Error {
  constructor(
    message: string,
    readonly exitCode: number,
  ) {
    super(message);
    this.name = 'CommandError';
  }
}

/** Runs a command and ends the process with its exit code. */
export async function runCommand(
  options: GlobalOptions,
  command: (context: Context) => Promise<number | undefined>,
): Promise<void> {
  const print = createPrinter(options.json === true);
  const worlds: World[] = [];
  try {
    if (options.envFile !== undefined) readVariables(options.envFile);
    const url = engineKey(readConfig({ url: options.url }));
    const location = withoutSecrets(url);
    const context: Context = {
      print,
      location,
      world(role, { create } = { create: false }) {
        refuseInMemory(url);
        // Only the app knows its queue's namespace; a framework may have chosen it.
        const own = { url: options.url, role, [TAKES_QUEUE_NAMES]: true };
        const world = createWorld(own);
        worlds.push(world);
        if (!create) refuseMissing(world);
        return world;
      },
    };
    process.exitCode = (await command(context)) ?? EXIT.done;
  } catch (error) {
    process.exitCode = exitCodeOf(error);
    print.error(error);
  } finally {
    await Promise.all(worlds.map((world) => world.close().catch(() => undefined)));
  }
}

function readVariables(file: string): void {
  try {
    process.loadEnvFile(file);
  } catch (error) {
    // Node's own message does not say which option names the file.
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : message;
    throw new CommandError(`--env-file ${resolve(file)} cannot be read: ${why}.`, EXIT.usage);
  }
}

function refuseInMemory(url: string): void {
  if (!url.startsWith(':memory:')) return;
  throw new CommandError('A database in memory is visible only to its own process.', EXIT.usage);
}

/** A URL without user, password and parameters; a path as it is. */
export function withoutSecrets(url: string): string {
  return url.replace(/^([a-z]+:\/\/)(?:.*@)?([^?]*).*$/s, '$1$2');
}

/** Fails if there is no database to move. */
export function refuseAbsent(url: string | undefined): void {
  refuseInMemory(engineKey(readConfig({ url })));
  refuseMissing(createWorld({ url, role: 'reader' }));
}

/** Fails if there is no database: only an app, `import` and `move` make one. */
function refuseMissing(world: World): void {
  const engine = engineOf(world) as Engine;
  if (!engine.isAbsent()) return;
  const message = `${absence(engine.place())} Or pass --url; --env-file reads a file of variables.`;
  throw new CommandError(message, EXIT.notFound);
}

const MISSING = new Set(['WorkflowRunNotFoundError', 'HookNotFoundError', 'MissingSourceError']);

function exitCodeOf(error: unknown): number {
  if (error instanceof CommandError) return error.exitCode;
  const { name, code } = error as { name?: string; code?: string };
  return MISSING.has(name ?? '') || code === 'NOT_FOUND' ? EXIT.notFound : EXIT.failed;
}
