/** A Postgres server of a benchmark, with the tables of `@workflow/world-postgres`. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { freePort } from '../scripts/free-port.mjs';
import { postgresPrograms, startPostgres } from '../scripts/postgres.mjs';

const PACKAGE = '@workflow/world-postgres';
export const WORLD_POSTGRES_VERSION = '4.3.7';

const here = dirname(fileURLToPath(import.meta.url));

/**
 * Starts a server with its data in `place`: `{ url, pid, stop, folder, world }`, where `folder` is that
 * of the World's package and `world` the URL of its module. `undefined`, and a line that says why,
 * where there can be none.
 */
export async function startWorldPostgres(place) {
  const programs = postgresPrograms();
  if (!programs) return without('Postgres is not installed (the package "postgresql" of Debian)');
  await mkdir(place, { recursive: true });
  const started = startPostgres({ programs, place, port: await freePort() });
  const world = await makeWorldPostgres(started.url);
  if (world) return { ...started, ...world };
  started.stop();
  return undefined;
}

/** Makes the World's tables in a database: `{ folder, world }`, as above. */
export async function makeWorldPostgres(url) {
  let packages;
  try {
    packages = await install();
  } catch (error) {
    return without(`${PACKAGE} cannot be installed: ${error.message}`);
  }
  const folder = join(packages, 'node_modules', PACKAGE);
  execFileSync(process.execPath, [join(folder, 'bin', 'setup.js')], {
    env: { ...process.env, WORKFLOW_POSTGRES_URL: url },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return { folder, world: pathToFileURL(join(folder, 'dist', 'index.js')).href };
}

function without(reason) {
  console.error(`without world-postgres: ${reason}`);
  return undefined;
}

/** Into a folder of the benchmark, because the package itself has no use for it. Returns the folder. */
async function install() {
  const packages = join(here, '.build', `world-postgres-${WORLD_POSTGRES_VERSION}`);
  if (existsSync(join(packages, 'node_modules', PACKAGE, 'package.json'))) return packages;
  console.error(`installing ${PACKAGE}`);
  await mkdir(packages, { recursive: true });
  await writeFile(join(packages, 'package.json'), '{ "private": true }\n');
  const wanted = `${PACKAGE}@${WORLD_POSTGRES_VERSION}`;
  const quiet = ['--no-audit', '--no-fund', '--loglevel', 'error'];
  execFileSync('npm', ['install', ...quiet, wanted], { cwd: packages, stdio: 'ignore' });
  return packages;
}
