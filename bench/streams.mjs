/**
 * Live streams: how long a chunk takes to its reader, and what it costs, beside world-local and
 * world-postgres. See README.md here.
 *
 *   node bench/streams.mjs [CHECKOUT] [--streams 1,20,200] [--rounds 5] [--seconds 4]
 *                          [--no-world-local] [--no-world-postgres] [--folder PATH]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { processorMs } from './processor.mjs';
import { spread } from './report.mjs';
import { startChild } from './rpc.mjs';
import { startWorldPostgres } from './world-postgres.mjs';

const CHUNK_BYTES = 120;
const CHUNKS_PER_SECOND = 50;
const WARM_UP_MS = 1000;

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
  server = options['world-postgres'] ? await startWorldPostgres(newPlace()) : undefined;
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

/** Runs in its own process, on its own place: the rests of an earlier load cost nothing here. */
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
