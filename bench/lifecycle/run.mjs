/**
 * From `resumeHook()` to the start of the step, and whole lifecycles in a second, of a workflow of
 * hook, step, end: Hookline beside the simplest World in memory (the limit: the SDK's runtime
 * itself) and, if asked for, beside world-local and world-postgres. See README.md one folder up.
 *
 *   node bench/lifecycle/run.mjs [--rounds 8] [--singles 100] [--many 320] [--in-flight 32]
 *                                [--world-local] [--world-postgres URL] [--folder PATH]
 *                                [--line 5]   the SDK's line, by default 4
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { spread } from '../report.mjs';
import { startChild } from '../rpc.mjs';

const STEP_RATIO_MAX = 1.5;
const RATE_RATIO_MIN = 0.7;
const WARM_UP_ROUNDS = 2;
/** The limit of each line. */
const MEMORY_WORLDS = { 4: 'memory-world.cjs', 5: '../memory-world-5.cjs' };

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '8' },
    singles: { type: 'string', default: '100' },
    many: { type: 'string', default: '320' },
    'in-flight': { type: 'string', default: '32' },
    'world-local': { type: 'boolean', default: false },
    'world-postgres': { type: 'string' },
    line: { type: 'string', default: '4' },
    folder: { type: 'string', default: join(here, '..', '.build') },
  },
});
const [singles, many, inFlight] = ['singles', 'many', 'in-flight'].map((name) =>
  Number(values[name]),
);

await mkdir(values.folder, { recursive: true });
const folder = await mkdtemp(join(values.folder, 'lifecycle-'));
const worlds = startWorlds();
try {
  const rounds = [];
  for (let number = 1 - WARM_UP_ROUNDS; number <= Number(values.rounds); number += 1) {
    console.error(number > 0 ? `round ${number} of ${values.rounds}` : 'warming up');
    const round = await measureRound(number % 2 === 0 ? [...worlds].reverse() : worlds);
    if (number > 0) rounds.push(round);
  }
  print(rounds);
} finally {
  await Promise.all(worlds.map(({ child }) => child.stop()));
  await rm(folder, { recursive: true, force: true });
}

function startWorlds() {
  const started = [
    world('memory', 'workflow', join(here, MEMORY_WORLDS[values.line])),
    world('hookline', 'hookline', 'hookline', {
      WORKFLOW_HOOKLINE_URL: join(folder, 'world.db'),
    }),
  ];
  if (values['world-local']) {
    const dataDir = join(folder, 'local');
    started.push(world('world-local', 'workflow', 'local', { WORKFLOW_LOCAL_DATA_DIR: dataDir }));
  }
  if (values['world-postgres']) {
    const url = values['world-postgres'];
    started.push(
      world('world-postgres', 'workflow', '@workflow/world-postgres', {
        WORKFLOW_POSTGRES_URL: url,
      }),
    );
  }
  return started;
}

function world(name, api, target, env = {}) {
  const sdk = values.line === '4' ? 'workflow' : `workflow-${values.line}`;
  const child = startChild('lifecycle/child.mjs', [api, sdk], [], {
    WORKFLOW_TARGET_WORLD: target,
    ...env,
  });
  return { name, child };
}

async function measureRound(ordered) {
  const round = {};
  for (const { name, child } of ordered) {
    const step = await child.tell('toStep', { count: singles });
    const { perSecond } = await child.tell('lifecycles', { inFlight, count: many });
    round[name] = { ...step, perSecond };
  }
  return round;
}

function print(rounds) {
  const show = ({ min, median, max }, digits) =>
    `${median.toFixed(digits)} (${min.toFixed(digits)} ... ${max.toFixed(digits)})`;
  const of = (name, field) => rounds.map((round) => round[name][field]);
  const table = worlds.map(({ name }) => [
    name,
    {
      'to the step, p50 ms': show(spread(of(name, 'p50Ms')), 2),
      'p99 ms': show(spread(of(name, 'p99Ms')), 2),
      [`lifecycles/s, ${inFlight} in flight`]: show(spread(of(name, 'perSecond')), 0),
    },
  ]);
  console.table(Object.fromEntries(table));
  const ratio = (field) =>
    spread(rounds.map((round) => round.hookline[field] / round.memory[field]));
  console.log(`to the step / limit: ${show(ratio('p50Ms'), 2)}, wanted <= ${STEP_RATIO_MAX}`);
  console.log(`lifecycles / limit: ${show(ratio('perSecond'), 2)}, wanted >= ${RATE_RATIO_MIN}`);
}
