/**
 * `npm run bench:postgres`: Hookline on Postgres beside the bare limit of the same server and beside
 * `@workflow/world-postgres`, in turns. See README.md here. Nothing is asserted.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildBare, startBare, startDistant } from './bare.mjs';
import { measureCycles, measureIdle } from './postgres-long.mjs';
import { copyParked, setApart, startCounter, startServer } from './postgres-server.mjs';
import { measureLifecycles, measureSteps } from './postgres-workflows.mjs';
import { judged, machine, printTargets, save, spread } from './report.mjs';
import { startChild } from './rpc.mjs';
import { makeWorldPostgres } from './world-postgres.mjs';

const IN_FLIGHT = 128;
const BATCH = 64;
/** In flight in each of several processes. */
const IN_FLIGHT_OF_ONE = 64;
const PARTS = ['resumes', 'processes', 'steps', 'lifecycles', 'idle'];

const here = dirname(fileURLToPath(import.meta.url));
const say = (text) => console.error(text);
const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    sizes: { type: 'string', default: '1000,100000' },
    rounds: { type: 'string', default: '7' },
    singles: { type: 'string', default: '200' },
    many: { type: 'string', default: '6000' },
    parts: { type: 'string', default: PARTS.join(',') },
    cycles: { type: 'string', default: '1000000' },
    'world-postgres': { type: 'boolean', default: true },
    counts: { type: 'boolean', default: true },
    'world-hooks': { type: 'string', default: '1000' },
    apart: { type: 'boolean', default: false },
    'distance-us': { type: 'string', default: '0' },
    folder: { type: 'string', default: join(here, '.build') },
    name: { type: 'string', default: 'postgres' },
  },
});
const [rounds, singles, many, cycles, worldHooks] = [
  'rounds',
  'singles',
  'many',
  'cycles',
  'world-hooks',
].map((name) => Number(options[name]));
const sizes = options.sizes.split(',').map(Number);
const parts = options.parts.split(',');
const distanceUs = Number(options['distance-us']);
if (distanceUs > 0 && (options.parts !== 'resumes' || options['world-postgres'] || options.counts))
  throw new Error('--distance-us needs --parts resumes --no-world-postgres --no-counts');

await mkdir(options.folder, { recursive: true });
const folder = await mkdtemp(join(options.folder, 'postgres-'));
const server = await startServer(join(folder, 'server'));
const children = [];
let isEnding = false;
// A server that outlives its benchmark would be left behind.
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => end().then(() => process.exit(1)));
try {
  if (server) await run();
  else say('Postgres is not installed (the package "postgresql" of Debian)');
} finally {
  await end();
}

/** Once: a signal may come while it runs. */
async function end() {
  if (isEnding) return;
  isEnding = true;
  await Promise.all(children.splice(0).map((child) => child.stop()));
  server?.stop();
  await rm(folder, { recursive: true, force: true });
}

async function run() {
  const results = {
    at: new Date().toISOString(),
    machine: machine(),
    postgres: server.version,
    apart: options.apart,
    distanceUs,
  };
  if (options.apart) setApart(server);
  const world = options['world-postgres'] ? await startWorld() : undefined;
  const context = { server, folder, rounds, say, schemaUrl, started };
  const subjects = parts.some((part) => ['resumes', 'processes', 'idle'].includes(part))
    ? await fillAll()
    : [];
  if (parts.includes('resumes')) results.resumes = await measureResumes(subjects, world);
  if (parts.includes('processes')) results.processes = await measureProcesses(subjects.at(-1));
  await Promise.all(children.splice(0).map((child) => child.stop()));
  if (parts.includes('idle')) {
    results.idle = await measureIdle(context, subjects.at(-1));
    await Promise.all(children.splice(0).map((child) => child.stop()));
  }
  if (parts.includes('steps')) results.steps = await measureSteps(context);
  if (parts.includes('lifecycles')) results.lifecycles = await measureLifecycles(context);
  if (parts.includes('cycles')) results.cycles = await measureCycles(context, cycles);
  printTargets(Object.values(results).flatMap((part) => part?.targets ?? []));
  await save(options.name, results);
}

function started(child) {
  children.push(child);
  return child;
}

function url(port) {
  return `postgres://postgres@127.0.0.1:${port}/postgres`;
}

function schemaUrl(schema, port = server.port) {
  return `${url(port)}?schema=${schema}`;
}

/** The port of the server, or of a proxy through which it is as far away as `--distance-us` says. */
async function distantPort() {
  if (distanceUs === 0) return server.port;
  const distant = await startDistant(await buildBare('distant'), server.port, distanceUs);
  children.push(distant);
  return distant.port;
}

function hookline(url, size, first = 0) {
  return started(startChild('hookline-child.mjs', [url, String(size), String(first)]));
}

async function startWorld() {
  const made = await makeWorldPostgres(server.url);
  if (!made) return undefined;
  const env = { WORKFLOW_TARGET_WORLD: made.folder, WORKFLOW_POSTGRES_URL: server.url };
  const child = started(startChild('sdk-child.mjs', [String(worldHooks)], [], env));
  say(`world-postgres: parking ${worldHooks} hooks`);
  await child.tell('park');
  return child;
}

/** Of each size, Hookline's schema and that of the bare program, each with its process. */
async function fillAll() {
  say('building the bare program');
  const program = await buildBare('bare_postgres');
  const port = await distantPort();
  const subjects = [];
  for (const size of sizes) {
    say(`parking ${size} hooks`);
    const [schema, bareSchema] = [`hookline_${size}`, `bare_${size}`];
    const bare = started(startBare(program, url(port), bareSchema));
    await bare.tell(`seed ${size}`);
    const first = startChild('hookline-child.mjs', [schemaUrl(schema), '1']);
    await first.tell('park');
    await first.stop();
    copyParked(server, schema, size);
    subjects.push({ size, schema, bare, ours: hookline(schemaUrl(schema, port), size) });
  }
  return subjects;
}

/** No worker takes the wake-ups, and resumes of one run would coalesce. */
function drain({ schema, size }) {
  for (const name of [schema, `bare_${size}`]) server.sql(`DELETE FROM ${name}.messages`);
}

async function measureResumes(subjects, world) {
  const taken = [];
  for (let number = 0; number <= rounds; number += 1) {
    say(number > 0 ? `resumes: round ${number} of ${rounds}` : 'resumes: warming up');
    const round = {};
    for (const subject of number % 2 === 0 ? subjects : subjects.toReversed()) {
      round[subject.size] = await measureSize(subject);
    }
    if (world) round.world = await measureWorld(world);
    if (number > 0) taken.push(round);
  }
  const counts = options.counts ? await countResumes(subjects.at(-1), world) : undefined;
  return printResumes(taken, counts);
}

async function measureSize(subject) {
  const { bare, ours, size } = subject;
  const most = Math.min(many, size);
  const numbers = {};
  const take = async (name, work) => {
    numbers[name] = await work();
    if (name.startsWith('bare') || name.startsWith('ours')) drain(subject);
  };
  await take('trip', () => bare.tell(`trips ${singles}`));
  await take('bareSingle', () => bare.tell(`single ${singles}`));
  await take('oursSingle', () => ours.tell('resume', { inFlight: 1, count: singles }));
  await take('look', () => bare.tell(`look ${singles}`));
  await take('lookUp', () => ours.tell('lookUp', { count: singles }));
  await take('bareMany', () => bare.tell(`batch ${BATCH} ${Math.ceil(most / BATCH)}`));
  await take('oursMany', () => ours.tell('resume', { inFlight: IN_FLIGHT, count: most }));
  return numbers;
}

async function measureWorld(world) {
  return {
    single: await world.tell('resume', { inFlight: 1, count: 20 }),
    many: await world.tell('resume', { inFlight: IN_FLIGHT, count: IN_FLIGHT }),
    lookUp: await world.tell('lookUp', { count: 50 }),
    trips: await world.tell('trips', { count: singles }),
  };
}

/** What a resume costs the server. Not timed: counting has a price, and so has the proxy. */
async function countResumes(subject, world) {
  say('counting what a resume costs the server');
  const counts = {};
  const count = async (name, of, work) => {
    counts[name] = await server.counted(of, work);
    drain(subject);
  };
  const most = Math.min(many, subject.size);
  await count('bare, 1', singles, () => subject.bare.tell(`single ${singles}`));
  await count('bare, 64', most, () =>
    subject.bare.tell(`batch ${BATCH} ${Math.ceil(most / BATCH)}`),
  );
  const { ours } = subject;
  await count('hookline, 1', singles, () => ours.tell('resume', { inFlight: 1, count: singles }));
  await count('hookline, 128', most, () =>
    ours.tell('resume', { inFlight: IN_FLIGHT, count: most }),
  );
  if (world) {
    await count('world-postgres, 1', 20, () => world.tell('resume', { inFlight: 1, count: 20 }));
    const of = { inFlight: IN_FLIGHT, count: IN_FLIGHT };
    await count('world-postgres, 128', IN_FLIGHT, () => world.tell('resume', of));
  }
  Object.assign(counts, await countTrips(subject));
  return counts;
}

async function countTrips({ schema, size }) {
  const counter = await startCounter(server.port);
  const child = hookline(schemaUrl(schema, counter.port), size);
  const trips = async (inFlight, count) => {
    const before = counter.trips();
    await child.tell('resume', { inFlight, count });
    return (counter.trips() - before) / count;
  };
  await trips(1, 20);
  const found = { trips1: await trips(1, singles), trips128: await trips(IN_FLIGHT, 2000) };
  await child.stop();
  counter.stop();
  return found;
}

function printResumes(taken, counts) {
  const of = (size, name, field) => taken.map((round) => round[size][name][field]);
  const ratio = (above, below) => spread(above.map((sample, i) => sample / below[i]));
  const show = ({ min, median, max }, digits = 3) =>
    `${median.toFixed(digits)} (${min.toFixed(digits)} ... ${max.toFixed(digits)})`;
  const rows = {};
  const targets = [];
  for (const size of sizes) {
    const row = (name, field) => show(spread(of(size, name, field)), field === 'perSecond' ? 0 : 3);
    rows[`${size} hooks`] = {
      'round trip ms': row('trip', 'p50Ms'),
      'bare p50 ms': row('bareSingle', 'p50Ms'),
      'resume p50 ms': row('oursSingle', 'p50Ms'),
      'resume p99 ms': row('oursSingle', 'p99Ms'),
      'look-up p50 ms': row('lookUp', 'p50Ms'),
      'bare 64 /s': row('bareMany', 'perSecond'),
      'resume 128 /s': row('oursMany', 'perSecond'),
      'our CPU ms, 1': row('oursSingle', 'cpuMs'),
      'our CPU ms, 128': row('oursMany', 'cpuMs'),
    };
    targets.push(
      {
        what: `resumeHook p50, 1 in flight / bare statement (${size} hooks)`,
        ...ratio(of(size, 'oursSingle', 'p50Ms'), of(size, 'bareSingle', 'p50Ms')),
        most: 1.5,
      },
      {
        what: `resumeHook rate, 128 in flight / bare, 64 together (${size} hooks)`,
        ...ratio(of(size, 'oursMany', 'perSecond'), of(size, 'bareMany', 'perSecond')),
        least: 0.5,
      },
      {
        what: `getHookByToken p50 / one round trip (${size} hooks)`,
        ...ratio(of(size, 'lookUp', 'p50Ms'), of(size, 'trip', 'p50Ms')),
        most: 1.5,
      },
      {
        what: `  the same / one bare look-up (${size} hooks)`,
        ...ratio(of(size, 'lookUp', 'p50Ms'), of(size, 'look', 'p50Ms')),
      },
    );
  }
  const [small, large] = [sizes[0], sizes.at(-1)];
  if (small !== large) {
    targets.push(
      {
        what: `resumeHook p50, 1 in flight, ${large} hooks / ${small}`,
        ...ratio(of(large, 'oursSingle', 'p50Ms'), of(small, 'oursSingle', 'p50Ms')),
        most: 1.3,
      },
      {
        what: `resumeHook rate, 128 in flight, ${large} hooks / ${small}`,
        ...ratio(of(small, 'oursMany', 'perSecond'), of(large, 'oursMany', 'perSecond')),
        most: 1.3,
      },
    );
  }
  console.table(rows);
  if (taken[0].world) targets.push(...besideWorld(taken, large, ratio, of));
  if (counts) printCounts(counts, targets);
  return { rounds: taken, counts, targets: targets.map(judged) };
}

function printCounts(counts, targets) {
  console.table(
    Object.fromEntries(
      Object.entries(counts)
        .filter(([, numbers]) => typeof numbers === 'object')
        .map(([name, { worked, ...numbers }]) => [
          name,
          Object.fromEntries(Object.entries(numbers).map(([key, n]) => [key, n.toFixed(3)])),
        ]),
    ),
  );
  console.log(
    `round trips of a resume: ${counts.trips1.toFixed(2)} alone, ${counts.trips128.toFixed(3)} with 128 in flight`,
  );
  const { syncs } = counts['hookline, 128'];
  targets.push({
    what: 'WAL syncs of a resume, 128 in flight',
    ...spread([syncs]),
    most: 0.05,
  });
}

function besideWorld(taken, size, ratio, of) {
  const world = (name, field) => taken.map((round) => round.world[name][field]);
  return [
    {
      what: 'resumeHook p50, 1 in flight / world-postgres',
      ...ratio(of(size, 'oursSingle', 'p50Ms'), world('single', 'p50Ms')),
      most: 0.25,
    },
    {
      what: 'resumeHook rate, 128 in flight / world-postgres',
      ...ratio(of(size, 'oursMany', 'perSecond'), world('many', 'perSecond')),
      least: 10,
    },
    {
      what: '  getHookByToken p50 / a promise of SELECT 1 by pg',
      ...ratio(of(size, 'lookUp', 'p50Ms'), world('trips', 'p50Ms')),
    },
    {
      what: '  getHookByToken p50 / world-postgres',
      ...ratio(of(size, 'lookUp', 'p50Ms'), world('lookUp', 'p50Ms')),
    },
  ];
}

/** The rates of one, two and four processes that resume together. */
async function measureProcesses({ schema, size }) {
  const all = [0, 1, 2, 3].map((at) =>
    hookline(schemaUrl(schema), size, Math.floor((at * size) / 4)),
  );
  const taken = [];
  for (let number = 0; number <= rounds; number += 1) {
    say(number > 0 ? `processes: round ${number} of ${rounds}` : 'processes: warming up');
    const round = {};
    for (const count of number % 2 === 0 ? [1, 2, 4] : [4, 2, 1]) {
      const each = Math.min(Math.floor(many / count), Math.floor(size / 4));
      const rates = await Promise.all(
        all
          .slice(0, count)
          .map((child) => child.tell('resume', { inFlight: IN_FLIGHT_OF_ONE, count: each })),
      );
      round[count] = rates.reduce((sum, { perSecond }) => sum + perSecond, 0);
      drain({ schema, size });
    }
    if (number > 0) taken.push(round);
  }
  const targets = [2, 4].map((count) => ({
    what: `resumes a second of ${count} processes / of one`,
    ...spread(taken.map((round) => round[count] / round[1])),
    least: 1,
  }));
  console.table(
    Object.fromEntries(
      [1, 2, 4].map((count) => [
        `${count} processes`,
        { 'resumes/s': spread(taken.map((round) => round[count])).median.toFixed(0) },
      ]),
    ),
  );
  return { rounds: taken, targets: targets.map(judged) };
}
