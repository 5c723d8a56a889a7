/** `npm run bench`: see README.md here. Prints what it finds and never fails for a slow number. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildBare } from './bare.mjs';
import { draw } from './chart.mjs';
import { measureLocal, printLocal } from './local.mjs';
import { measureMemory } from './memory.mjs';
import { readOptions } from './options.mjs';
import { printProfile, profile } from './profile.mjs';
import { evaluate, printMeasured, printTargets } from './report.mjs';
import { drain, fill, measureRounds, stop } from './rounds.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const say = (text) => console.error(text);

const options = readOptions();
if (options) {
  const parent = options.folder ?? join(here, '.build');
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(join(parent, 'run-'));
  try {
    await (options.profile ? runProfile(folder) : runRounds(folder));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runProfile(folder) {
  for (const size of options.sizes) {
    say(`parking ${size} hooks`);
    printProfile(size, await profile(folder, size));
  }
}

async function runRounds(folder) {
  say('building the bare program');
  const program = await buildBare();
  const subjects = [];
  const results = { at: new Date().toISOString(), machine: machine(), options: asked() };
  try {
    for (const size of options.sizes) {
      say(`parking ${size} hooks`);
      subjects.push(await fill(program, folder, size));
    }
    const rounds = await measureRounds(subjects, options, (number, count) =>
      say(number > 0 ? `round ${number} of ${count}` : 'warming up'),
    );
    Object.assign(results, evaluate(rounds, options.sizes));
    if (!options['no-memory']) {
      say('measuring memory');
      const { added, target } = await measureMemory(folder, subjects.at(-1));
      results.memory = added;
      results.targets.push(target);
    }
    if (options['world-local']) {
      say('measuring world-local');
      results.local = await measureLocal(folder, subjects[0], drain);
    }
  } finally {
    await Promise.all(subjects.map(stop));
  }
  printMeasured(results.measured);
  if (results.local) printLocal(results.local);
  printTargets(results.targets);
  await save(results);
}

function machine() {
  const processors = cpus();
  return { processors: processors.length, model: processors[0]?.model, node: process.version };
}

/** The options as they were given. */
function asked() {
  return { ...options, sizes: options.sizes.join(',') };
}

async function save(results) {
  const file = join(here, 'results', `${options.name}.json`);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(results, undefined, 2)}\n`);
  say(`\nwritten: bench/results/${options.name}.json`);
  // Any other name is a look at something else, which the guides do not show.
  if (options.name === 'latest') say(`drawn: ${await draw(results)}`);
}
