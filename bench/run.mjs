/** `npm run bench`: see README.md here. Prints its results, and never fails because of a slow number. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildBare } from './bare.mjs';
import { drawBare } from './chart.mjs';
import { measureMemory } from './memory.mjs';
import { readOptions } from './options.mjs';
import { printProfile, profile } from './profile.mjs';
import { evaluate, machine, printMeasured, printTargets, save } from './report.mjs';
import { fill, measureRounds, stop } from './rounds.mjs';
import { compareWorlds } from './worlds.mjs';

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
  if (options.worlds && !options.profile) {
    say('measuring the SDK’s own Worlds');
    await compareWorlds({ sizes: [10, 1000], rounds: 5, folder: options.folder });
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
    if (options.memory) {
      say('measuring memory');
      const { added, target } = await measureMemory(folder, subjects.at(-1));
      results.memory = added;
      results.targets.push(target);
    }
  } finally {
    await Promise.all(subjects.map(stop));
  }
  printMeasured(results.measured);
  printTargets(results.targets);
  await save(options.name, results);
  // Any other name is a look at something else, which the guides do not show.
  if (options.name === 'latest') say(`drawn: ${await drawBare(results)}`);
}

/** The options as they were given. */
function asked() {
  return { ...options, sizes: options.sizes.join(',') };
}
