/**
 * Opens the World to import from through its own package, because only that package knows the
 * format.
 */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { RunStreams, World } from '../../index';

/** A World to read from. */
export interface Source {
  world: World;
  /** For people; without a password. */
  name: string;
}

/** The package of world-local; each line of the SDK exports its function by another name. */
interface LocalWorlds {
  createLocalWorld?(options: { dataDir: string }): World;
  createWorld(options: { dataDir: string }): World;
}

/** What is read of the streams of a World. */
export type SourceStreams = Pick<RunStreams, 'list' | 'getInfo' | 'getChunks'>;

/** The streams of a World of any line of the SDK. */
export function streamsOf(world: World): SourceStreams {
  return (
    (world.streams as RunStreams | undefined) ?? {
      list: (runId) => world.listStreamsByRunId(runId),
      getInfo: (runId, name) => world.getStreamInfo(name, runId),
      getChunks: (runId, name, options) => world.getStreamChunks(name, runId, options),
    }
  );
}

/** The way to the SDK's World of files: each package requires the next. */
const WAY_TO_LOCAL = ['workflow', '@workflow/core', '@workflow/world-local'];
const WAY_TO_POSTGRES = ['@workflow/world-postgres'];

/** The source of the import does not exist. */
export class MissingSourceError extends Error {
  override readonly name = 'MissingSourceError';
}

/** The folder that the SDK's wrapper for Next.js sets for world-local. */
const NEXT_FOLDER = '.next/workflow-data';

/** A hint at the other folder, if it has runs. */
function elsewhere(folder: string): string {
  const isThere = folder !== resolve(NEXT_FOLDER) && existsSync(join(NEXT_FOLDER, 'runs'));
  return isThere ? ` There are some in ${NEXT_FOLDER}: --from ${NEXT_FOLDER}` : '';
}

/**
 * Opens the source that a text names: the URL of world-postgres's database, or a folder of
 * world-local. The source is not started, so it delivers nothing.
 *
 * @throws MissingSourceError when there is no such folder, or no runs in it.
 * @throws Error that says what to do, when its package is missing.
 */
export async function openSource(from: string): Promise<Source> {
  if (/^postgres(ql)?:\/\//.test(from)) return openPostgres(from);
  const folder = resolve(from);
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new MissingSourceError(
      `There is no folder ${folder}. --from takes a world-local folder or a postgres:// URL.${elsewhere(folder)}`,
    );
  }
  if (!existsSync(join(folder, 'runs'))) {
    throw new MissingSourceError(
      `${folder} holds no runs of world-local (it has no "runs" folder).${elsewhere(folder)}`,
    );
  }
  const { createLocalWorld, createWorld } = await load<LocalWorlds>(WAY_TO_LOCAL);
  const create = createLocalWorld ?? createWorld;
  return { world: create({ dataDir: folder }), name: folder };
}

async function openPostgres(url: string): Promise<Source> {
  const { createWorld } = await load<{ createWorld(options: object): World }>(WAY_TO_POSTGRES);
  const { host, pathname } = new URL(url);
  return { world: createWorld({ connectionString: url }), name: `postgres://${host}${pathname}` };
}

/** Imports the last package of a way, as the package before it would. */
async function load<T>(way: string[]): Promise<T> {
  let from = join(process.cwd(), 'index.js');
  for (const name of way) {
    const found = createRequire(from)
      .resolve.paths(name)
      ?.map((modules) => join(modules, name, 'package.json'))
      .find((file) => existsSync(file));
    if (found) from = realpathSync(found);
    else if (name === way.at(-1)) {
      throw new Error(
        `${name} is not installed here: run this in the folder of the app, or npm install ${name}`,
      );
    }
  }
  // A package can resolve its own name from its own manifest, whatever it exports.
  const entry = createRequire(from).resolve(way.at(-1) as string);
  return (await import(pathToFileURL(entry).href)) as T;
}
