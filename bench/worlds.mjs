/**
 * One resume beside the SDK's own Worlds: until `resumeHook` resolves, and until the next step of the
 * workflow begins, while other runs are parked. Each World has its defaults, and a process of its own.
 *
 *   node bench/worlds.mjs [--sizes 10,1000] [--rounds 5] [--folder PATH]
 *
 * See README.md here. Draws the picture of the README, as `npm run bench` does.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { drawWorlds } from './chart.mjs';
import { machine, save, spread } from './report.mjs';
import { startChild } from './rpc.mjs';
import { startWorldPostgres } from './world-postgres.mjs';

/** Resumes of a round; fewer where each takes long. */
const CALLS = { hookline: 50, 'world-local': 10, 'world-postgres': 30 };
const WARM_UP_ROUNDS = 1;

const say = (text) => console.error(text);

/** Measures with these options, prints, saves and draws. */
export async function compareWorlds({ sizes, rounds, folder: parent = tmpdir() }) {
  const folder = await mkdtemp(join(parent, 'hookline-worlds-'));
  const results = { at: new Date().toISOString(), machine: machine(), rounds, measured: {} };
  try {
    for (const size of sizes) {
      results.measured[size] = await measureSize(folder, size, rounds);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  for (const [size, measured] of Object.entries(results.measured)) print(size, measured);
  await save('worlds', results);
  say(`drawn: ${await drawWorlds(results)}`);
}

async function measureSize(folder, size, rounds) {
  const place = (name) => join(folder, `${name}-${size}`);
  const server = await startWorldPostgres(place('postgres'));
  // A server that outlives its benchmark would be left behind.
  const leave = () => {
    server?.stop();
    process.exit(1);
  };
  process.once('SIGINT', leave).once('SIGTERM', leave);
  const worlds = startWorlds(place, server);
  try {
    for (const { name, child } of worlds) {
      say(`${name}: parking ${size} runs`);
      await child.tell('parkOthers', { count: size });
    }
    return await measureRounds(worlds, rounds);
  } finally {
    await Promise.all(worlds.map(({ child }) => child.stop()));
    server?.stop();
    process.off('SIGINT', leave).off('SIGTERM', leave);
  }
}

function startWorlds(place, server) {
  const start = (name, api, env) => {
    return { name, child: startChild('lifecycle/child.mjs', [api], [], env) };
  };
  const started = [
    start('hookline', 'hookline', {
      WORKFLOW_TARGET_WORLD: 'hookline',
      WORKFLOW_HOOKLINE_URL: place('hookline'),
    }),
    start('world-local', 'workflow', {
      WORKFLOW_TARGET_WORLD: 'local',
      WORKFLOW_LOCAL_DATA_DIR: place('local'),
    }),
  ];
  if (!server) return started;
  const env = { WORKFLOW_TARGET_WORLD: server.folder, WORKFLOW_POSTGRES_URL: server.url };
  return [...started, start('world-postgres', 'workflow', env)];
}

/** Every other round takes the Worlds in reverse. */
async function measureRounds(worlds, rounds) {
  const measured = Object.fromEntries(worlds.map(({ name }) => [name, []]));
  for (let number = 1 - WARM_UP_ROUNDS; number <= rounds; number += 1) {
    say(number > 0 ? `round ${number} of ${rounds}` : 'warming up');
    for (const { name, child } of number % 2 === 0 ? worlds.toReversed() : worlds) {
      const round = await child.tell('toStep', { count: CALLS[name] });
      if (number > 0) measured[name].push(round);
    }
  }
  const of = (name, field) => spread(measured[name].map((round) => round[field]));
  return Object.fromEntries(
    Object.keys(measured).map((name) => [
      name,
      { acknowledgedMs: of(name, 'acknowledgedMs'), toStepMs: of(name, 'p50Ms') },
    ]),
  );
}

function print(size, measured) {
  const show = ({ min, median, max }) => `${[median, min, max].map((ms) => ms.toFixed(2))}`;
  console.log(`\n${size} parked runs; ms: median of the rounds, least, greatest`);
  const rows = Object.entries(measured).map(([name, { acknowledgedMs, toStepMs }]) => [
    name,
    { 'resumeHook resolves': show(acknowledgedMs), 'the step begins': show(toStepMs) },
  ]);
  console.table(Object.fromEntries(rows));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      sizes: { type: 'string', default: '10,1000' },
      rounds: { type: 'string', default: '5' },
      folder: { type: 'string' },
    },
  });
  const sizes = values.sizes.split(',').map(Number);
  await compareWorlds({ ...values, sizes, rounds: Number(values.rounds) });
}
