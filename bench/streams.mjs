/**
 * Live streams: how long a chunk takes to its reader, and what it costs, beside world-local and
 * world-postgres. See README.md here.
 *
 *   node bench/streams.mjs [CHECKOUT] [--streams 1,20,200] [--rounds 5] [--seconds 4]
 *                          [--no-world-local] [--no-world-postgres] [--folder PATH]
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { postgresPrograms, startPostgres } from '../scripts/postgres.mjs';
import { spread } from './report.mjs';
import { startChild } from './rpc.mjs';

const WORLD_POSTGRES = '@workflow/world-postgres';
const WORLD_POSTGRES_VERSION = '4.3.7';
const CHUNK_BYTES = 120;
const CHUNKS_PER_SECOND = 50;
const WARM_UP_MS = 1000;
/** A tick of the processor times in `/proc`. */
const TICK_MS = 10;

const here = dirname(fileURLToPath(import.meta.url));
const say = (text) => console.error(text);
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    streams: { type: 'string', default: '1,20,200' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    'world-local': { type: 'boolean', default: true },
    'world-postgres': { type: 'boolean', default: true },
    folder: { type: 'string', default: tmpdir() },
  },
});
const counts = options.streams.split(',').map(Number);
const load = {
  ms: Number(options.seconds) * 1000,
  perSecond: CHUNKS_PER_SECOND,
  bytes: CHUNK_BYTES,
};

const folder = await mkdtemp(join(options.folder, 'hookline-streams-'));
let server;
let places = 0;
// A server that outlives its benchmark would be left behind.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server?.stop();
    process.exit(1);
  });
}
try {
  server = options['world-postgres'] ? await postgres() : undefined;
  const worlds = measuredWorlds();
  const rounds = [];
  for (let round = 1; round <= Number(options.rounds); round += 1) {
    say(`round ${round} of ${options.rounds}`);
    rounds.push(await measureRound(round % 2 === 0 ? worlds.toReversed() : worlds));
  }
  for (const count of counts)
    print(
      count,
      worlds,
      rounds.map((round) => round[count]),
    );
} finally {
  server?.stop();
  await rm(folder, { recursive: true, force: true });
}

/** Each with the arguments and the environment of its process; a new place for each. */
function measuredWorlds() {
  const build = (checkout) => pathToFileURL(join(checkout, 'dist', 'index.mjs')).href;
  const file = () => join(newPlace(), 'world.db');
  const worlds = [{ name: 'hookline', args: () => ['hookline', file()] }];
  if (positionals[0]) {
    const env = { BENCH_BUILD: build(resolve(positionals[0])) };
    worlds.push({ name: 'other checkout', args: () => ['hookline', file()], env });
  }
  if (options['world-local']) {
    worlds.push({ name: 'world-local', args: () => ['world-local', newPlace()] });
  }
  if (server) {
    const env = { BENCH_WORLD_POSTGRES: server.world };
    worlds.push({
      name: 'world-postgres',
      args: () => ['world-postgres', server.url],
      env,
      server,
    });
  }
  return worlds;
}

function newPlace() {
  places += 1;
  return join(folder, String(places));
}

async function measureRound(ordered) {
  const round = {};
  for (const count of counts) {
    round[count] = {};
    for (const world of ordered) round[count][world.name] = await measure(world, count);
  }
  return round;
}

/** In a process of its own, on a place of its own: what an earlier load has left costs nothing here. */
async function measure({ args, env, server: besides }, count) {
  const child = startChild('streams-child.mjs', args(), [], env);
  try {
    await child.tell('open', { count, bytes: CHUNK_BYTES });
    await child.tell('load', { ...load, ms: WARM_UP_MS });
    const before = besides && processorMs(besides.pid);
    const { cpuMs, ...measured } = await child.tell('load', load);
    const serverMs = besides ? processorMs(besides.pid) - before : 0;
    if (measured.missing === 0) await child.tell('end');
    const us = (ms) => (ms * 1000) / measured.chunks;
    return { ...measured, cpuUs: us(cpuMs + serverMs), serverUs: us(serverMs) };
  } finally {
    await child.stop();
  }
}

function print(count, worlds, rounds) {
  const show = ({ min, median, max }) => `${short(median)} (${short(min)} ... ${short(max)})`;
  const of = (name, field) => spread(rounds.map((round) => round[name][field]));
  const ratio = (name, field) =>
    spread(rounds.map((round) => round[name][field] / round.hookline[field]));
  const rows = worlds.map(({ name }) => [
    name,
    {
      'p50 ms': show(of(name, 'p50Ms')),
      'p99 ms': show(of(name, 'p99Ms')),
      'CPU us a chunk': show(of(name, 'cpuUs')),
      'p50 / hookline': name === 'hookline' ? '' : show(ratio(name, 'p50Ms')),
      'p99 / hookline': name === 'hookline' ? '' : show(ratio(name, 'p99Ms')),
      'CPU / hookline': name === 'hookline' ? '' : show(ratio(name, 'cpuUs')),
      'behind at the end': show(of(name, 'behind')),
      'not there 30 s later': show(of(name, 'missing')),
    },
  ]);
  console.log(`\n${count} streams, median of the rounds (least ... greatest)`);
  console.table(Object.fromEntries(rows));
}

/** Three digits that count. */
function short(number) {
  return Number(number.toPrecision(3)).toString();
}

/** A server with the World's tables; `undefined`, and a line that says why, where there can be none. */
async function postgres() {
  const programs = postgresPrograms();
  if (!programs) return without('Postgres is not installed (the package "postgresql" of Debian)');
  let packages;
  try {
    packages = await installWorldPostgres();
  } catch (error) {
    return without(`${WORLD_POSTGRES} cannot be installed: ${error.message}`);
  }
  const place = newPlace();
  await mkdir(place, { recursive: true });
  const started = startPostgres({ programs, place, port: await freePort() });
  const world = join(packages, 'node_modules', WORLD_POSTGRES);
  execFileSync(process.execPath, [join(world, 'bin', 'setup.js')], {
    env: { ...process.env, WORKFLOW_POSTGRES_URL: started.url },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return { ...started, world: pathToFileURL(join(world, 'dist', 'index.js')).href };
}

function without(reason) {
  say(`without world-postgres: ${reason}`);
  return undefined;
}

/** Into a folder of the benchmark, because the package itself has no use for it. Returns the folder. */
async function installWorldPostgres() {
  const packages = join(here, '.build', `world-postgres-${WORLD_POSTGRES_VERSION}`);
  if (existsSync(join(packages, 'node_modules', WORLD_POSTGRES, 'package.json'))) return packages;
  say(`installing ${WORLD_POSTGRES}`);
  await mkdir(packages, { recursive: true });
  await writeFile(join(packages, 'package.json'), '{ "private": true }\n');
  const wanted = `${WORLD_POSTGRES}@${WORLD_POSTGRES_VERSION}`;
  const quiet = ['--no-audit', '--no-fund', '--loglevel', 'error'];
  execFileSync('npm', ['install', ...quiet, wanted], { cwd: packages, stdio: 'ignore' });
  return packages;
}

function freePort() {
  return new Promise((found) => {
    const probe = createServer();
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => found(port));
    });
  });
}

/** What the server's processes have cost so far; 0 where there is no `/proc`. */
function processorMs(pid) {
  if (!existsSync('/proc')) return 0;
  let ticks = 0;
  for (const name of readdirSync('/proc')) {
    const fields = statOf(name);
    if (!fields || (name !== String(pid) && fields[1] !== String(pid))) continue;
    // Its own time in the program and in the kernel; of the parent also that of processes that ended.
    const [user, system, endedUser, endedSystem] = fields.slice(11, 15).map(Number);
    ticks += user + system + (name === String(pid) ? endedUser + endedSystem : 0);
  }
  return ticks * TICK_MS;
}

/** The fields of a process after its name, the first of which is its state. */
function statOf(name) {
  if (!/^\d+$/.test(name)) return undefined;
  try {
    return readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1).split(' ');
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}
