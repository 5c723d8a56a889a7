/** Turns numbers into a table: medians of the rounds, and ratios of numbers from the same round. */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const RESUME_RATIO_MAX = 2;
const RATE_RATIO_MIN = 0.5;
const LOOK_UP_MS_MAX = 0.15;
const SIZE_RATIO_MAX = 1.3;
export const MEMORY_MIB_MAX = 20;

/** Least, median and greatest of a sample per round. */
export function spread(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const median =
    sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { min: sorted[0], median, max: sorted.at(-1) };
}

/** All results of the rounds: the measurements per size, and every target with its ratio. */
export function evaluate(rounds, sizes) {
  const of = (size, name, field) => rounds.map((round) => round[size][name][field]);
  const ratios = (above, below) => spread(above.map((sample, i) => sample / below[i]));
  const measured = {};
  const targets = [];
  for (const size of sizes) {
    measured[size] = {
      bareSingleMs: spread(of(size, 'bareSingle', 'p50Ms')),
      resumeSingleMs: spread(of(size, 'resumeSingle', 'p50Ms')),
      resumeSingleP99Ms: spread(of(size, 'resumeSingle', 'p99Ms')),
      bareTurnMs: spread(of(size, 'turns', 'bareMs')),
      resumeTurnMs: spread(of(size, 'turns', 'resumeMs')),
      lookUpMs: spread(of(size, 'lookUp', 'p50Ms')),
      firstLookUpMs: spread(of(size, 'firstLookUp', 'p50Ms')),
      bareBatchPerSecond: spread(of(size, 'bareBatch', 'perSecond')),
      resumeManyPerSecond: spread(of(size, 'resumeMany', 'perSecond')),
    };
    const single = (name) => of(size, name, 'p50Ms');
    const rate = (name) => of(size, name, 'perSecond');
    targets.push(
      {
        what: `resumeHook p50, 1 in flight / bare, 1 per commit (${size} hooks)`,
        ...ratios(single('resumeSingle'), single('bareSingle')),
        most: RESUME_RATIO_MAX,
      },
      {
        what: `  the same at p99 (${size} hooks)`,
        ...ratios(of(size, 'resumeSingle', 'p99Ms'), of(size, 'bareSingle', 'p99Ms')),
        most: RESUME_RATIO_MAX,
      },
      {
        what: `  the same in turns, one call at a time (${size} hooks)`,
        ...ratios(of(size, 'turns', 'resumeMs'), of(size, 'turns', 'bareMs')),
        most: RESUME_RATIO_MAX,
      },
      {
        what: `resumeHook rate, 128 in flight / bare, 64 per commit (${size} hooks)`,
        ...ratios(rate('resumeMany'), rate('bareBatch')),
        least: RATE_RATIO_MIN,
      },
      {
        what: `getHookByToken p50 in ms (${size} hooks)`,
        ...measured[size].lookUpMs,
        most: LOOK_UP_MS_MAX,
      },
    );
  }
  const [small, large] = [sizes[0], sizes.at(-1)];
  if (small !== large) {
    const grows = (what, above, below, name, field) => ({
      what: `${what}, ${above} hooks / ${below}`,
      ...ratios(of(above, name, field), of(below, name, field)),
      most: SIZE_RATIO_MAX,
    });
    targets.push(
      grows('resumeHook p50, 1 in flight', large, small, 'resumeSingle', 'p50Ms'),
      // Rates the other way round: a ratio above 1 always means that more hooks are slower.
      grows('resumeHook rate, 128 in flight', small, large, 'resumeMany', 'perSecond'),
      grows('getHookByToken p50', large, small, 'lookUp', 'p50Ms'),
      // No targets: with an empty cache, and what the same growth costs SQLite alone.
      {
        ...grows('  after a commit of another process', large, small, 'firstLookUp', 'p50Ms'),
        most: undefined,
      },
      {
        ...grows('  bare, 1 per commit, p50', large, small, 'bareSingle', 'p50Ms'),
        most: undefined,
      },
      {
        ...grows('  bare, 64 per commit', small, large, 'bareBatch', 'perSecond'),
        most: undefined,
      },
    );
  }
  return { measured, targets: targets.map(judged) };
}

/** Targets, each with whether its median reaches it. A number without a limit is no target. */
export function judged(target) {
  const { median, most, least } = target;
  if (most !== undefined) return { ...target, reached: median <= most };
  return least === undefined ? target : { ...target, reached: median >= least };
}

export function printMeasured(measured) {
  console.log('\nmedian over the rounds (least ... greatest)');
  for (const [size, values] of Object.entries(measured)) {
    console.log(`\n${Number(size).toLocaleString('en')} stored hooks and runs`);
    const show = (name, { min, median, max }, unit, digits) =>
      console.log(
        `  ${name.padEnd(44)} ${median.toFixed(digits).padStart(9)} ${unit.padEnd(4)} ` +
          `(${min.toFixed(digits)} ... ${max.toFixed(digits)})`,
      );
    show('bare transaction, 1 per commit, p50', values.bareSingleMs, 'ms', 3);
    show('resumeHook, 1 in flight, p50', values.resumeSingleMs, 'ms', 3);
    show('resumeHook, 1 in flight, p99', values.resumeSingleP99Ms, 'ms', 3);
    show('bare transaction, in turns, p50', values.bareTurnMs, 'ms', 3);
    show('resumeHook, in turns, p50', values.resumeTurnMs, 'ms', 3);
    show('getHookByToken, p50', values.lookUpMs, 'ms', 3);
    show('  after a commit of another process, p50', values.firstLookUpMs, 'ms', 3);
    show('bare transaction, 64 per commit', values.bareBatchPerSecond, '/s', 0);
    show('resumeHook, 128 in flight', values.resumeManyPerSecond, '/s', 0);
  }
}

export function printTargets(targets) {
  console.log(`\n${'target'.padEnd(68)} ${'median'.padStart(7)}   ${'limit'.padEnd(9)} reached`);
  for (const { what, min, median, max, most, least, reached } of targets) {
    const limit = most !== undefined ? `<= ${most}` : least !== undefined ? `>= ${least}` : '';
    const answer = reached === undefined ? '   ' : reached ? 'yes' : 'NO ';
    console.log(
      `${what.padEnd(68)} ${median.toFixed(3).padStart(7)}   ${limit.padEnd(9)} ` +
        `${answer}  (${min.toFixed(3)} ... ${max.toFixed(3)})`,
    );
  }
}

/** The machine that measures. */
export function machine() {
  const processors = cpus();
  return { processors: processors.length, model: processors[0]?.model, node: process.version };
}

/** Writes all numbers into `bench/results`. */
export async function save(name, results) {
  const folder = join(dirname(fileURLToPath(import.meta.url)), 'results');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${name}.json`), `${JSON.stringify(results, undefined, 2)}\n`);
  console.error(`\nwritten: bench/results/${name}.json`);
}
