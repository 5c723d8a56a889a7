/** The interleaved rounds: the bare limit and Hookline, every size, on one disk in one run. */
import { join } from 'node:path';
import { startBare } from './bare.mjs';
import { spread } from './report.mjs';
import { startChild } from './rpc.mjs';

const WARM_UP_ROUNDS = 2;
const IN_FLIGHT = 128;
const BATCH = 64;

const FILLED = { bare: ['bare'], ours: ['ours'], both: ['bare', 'ours'] };

/**
 * What a round measures, in this order. What is over in some tens of milliseconds is measured in
 * several blocks, every size and side in turn, of which the median counts: so a moment in which the
 * machine is slow is shared. `drain` says whose queue a measurement has filled.
 */
const GROUPS = [
  {
    blocks: 1,
    measurements: [
      { name: 'bareSingle', drain: 'bare', run: ({ bare }, o) => bare.tell(`single ${o.singles}`) },
      {
        name: 'resumeSingle',
        drain: 'ours',
        run: ({ ours }, o) => ours.tell('resume', { inFlight: 1, count: o.singles }),
      },
      { name: 'turns', drain: 'both', run: takeTurns },
      // Another process has just committed, by draining: that empties the cache.
      { name: 'firstLookUp', run: lookUp },
    ],
  },
  {
    blocks: 5,
    measurements: [{ name: 'lookUp', run: lookUp }],
  },
  {
    blocks: 5,
    measurements: [
      {
        name: 'bareBatch',
        drain: 'bare',
        run: ({ bare }, o) => bare.tell(`batch ${BATCH} ${Math.ceil(o.many / BATCH)}`),
      },
      {
        name: 'resumeMany',
        drain: 'ours',
        run: ({ ours }, o) => ours.tell('resume', { inFlight: IN_FLIGHT, count: o.many }),
      },
    ],
  },
];

function lookUp({ ours }, { looks }) {
  return ours.tell('lookUp', { count: looks });
}

/**
 * The bare transaction and a resume in turns, one of each at a time. In the blocks above the bare
 * transaction keeps its processor awake and its caches warm; a call that an application makes now
 * and then finds neither, and here both are such calls.
 */
async function takeTurns({ bare, ours }, { turns }) {
  const [bareMs, resumeMs] = [[], []];
  for (let turn = 0; turn < turns; turn += 1) {
    bareMs.push((await bare.tell('single 1')).p50Ms);
    resumeMs.push((await ours.tell('resume', { inFlight: 1, count: 1 })).p50Ms);
  }
  return { bareMs: spread(bareMs).median, resumeMs: spread(resumeMs).median };
}

/** Two databases of one size, each with the process that uses it. */
export async function fill(program, folder, size) {
  const files = { bare: join(folder, `bare-${size}.db`), ours: join(folder, `ours-${size}.db`) };
  const bare = startBare(program, files.bare);
  const ours = startChild('hookline-child.mjs', [files.ours, String(size)]);
  await bare.tell(`seed ${size}`);
  const began = performance.now();
  await ours.tell('park');
  const subject = { size, files, bare, ours, parkedInMs: performance.now() - began };
  await drain(subject, 'ours');
  return subject;
}

/** No wake-up is left in the queue: no worker takes them, and resumes of one run would coalesce. */
export function drain({ bare, files }, whose) {
  return bare.tell(`drain ${files[whose]}`);
}

export async function stop({ bare, ours }) {
  await Promise.all([bare.stop(), ours.stop()]);
}

/**
 * Measures round by round. Resolves to one object per round: size, then measurement, then numbers.
 *
 * Every other round takes the sizes in reverse, so that neither always comes first.
 */
export async function measureRounds(subjects, options, onRound) {
  const rounds = [];
  for (let number = 1 - WARM_UP_ROUNDS; number <= options.rounds; number += 1) {
    const ordered = number % 2 === 0 ? [...subjects].reverse() : subjects;
    const round = Object.fromEntries(subjects.map(({ size }) => [size, {}]));
    for (const group of GROUPS) {
      const samples = await measureGroup(group, ordered, options);
      for (const { size, name, numbers } of samples) round[size][name] = numbers;
    }
    onRound(number, options.rounds);
    if (number > 0) rounds.push(round);
  }
  return rounds;
}

/** One object per size and measurement: the medians of its blocks. */
async function measureGroup({ blocks, measurements }, subjects, options) {
  const measured = subjects.flatMap((subject) =>
    measurements.map((measurement) => ({ subject, measurement, samples: [] })),
  );
  for (let block = 0; block < blocks; block += 1) {
    for (const { subject, measurement, samples } of measured) {
      // More calls than hooks would resume one run twice.
      const most = { ...options, singles: Math.min(options.singles, subject.size) };
      most.many = Math.min(options.many, subject.size);
      samples.push(await measurement.run(subject, most));
      for (const whose of FILLED[measurement.drain] ?? []) await drain(subject, whose);
    }
  }
  return measured.map(({ subject, measurement, samples }) => ({
    size: subject.size,
    name: measurement.name,
    numbers: medians(samples),
  }));
}

function medians(samples) {
  const fields = Object.keys(samples[0]);
  const of = (field) => spread(samples.map((sample) => sample[field])).median;
  return Object.fromEntries(fields.map((field) => [field, of(field)]));
}
