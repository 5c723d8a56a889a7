/**
 * `node bench/iterating.mjs [CHECKOUT]`: resumes of iterating hooks with their deliveries beside, of
 * this build and of another checkout's in turns on one disk. Both are built.
 *
 * The whole SDK runs in each process, with the worker. A lane is a run: it resumes the run's hook by
 * `workflow/api` (`--api hookline`: by ours), waits for the replay, and rests for a moment, in which a
 * replay too many would show. A ratio is made within a round; below 1, this build needs less. Prints
 * the median of the ratios, the least and the greatest.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { buildWorkflows } from '../scripts/build-workflows.mjs';
import { spread } from './report.mjs';
import { obey, startChild } from './rpc.mjs';

const FIXTURES = fileURLToPath(new URL('../__test__/fixtures', import.meta.url));
/** Longer than a replay takes that nothing but a second wake-up asked for. */
const REST_MS = 20;
/** How many resumes of one run: its log grows, and with it what a replay costs. */
const RESUMES = { 1: 120, 32: 20, 128: 8 };

if (process.env.ITERATING_CHILD) await serve();
else await compare();

async function compare() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      api: { type: 'string', default: 'workflow/api' },
    },
  });
  const folder = await mkdtemp(join(tmpdir(), 'hookline-iterating-'));
  const builds = { this: resolve('.'), other: resolve(positionals[0] ?? '.') };
  const start = ([name, checkout]) => {
    const env = {
      ITERATING_CHILD: values.api,
      WORKFLOW_TARGET_WORLD: join(checkout, 'dist', 'index.js'),
      WORKFLOW_HOOKLINE_URL: join(folder, `${name}.db`),
    };
    return [name, startChild('iterating.mjs', [], [], env)];
  };
  const children = Object.fromEntries(Object.entries(builds).map(start));
  const ratios = {};
  try {
    for (let round = 0; round <= Number(values.rounds); round += 1) {
      const order = round % 2 === 0 ? ['this', 'other'] : ['other', 'this'];
      for (const inFlight of [1, 32, 128]) {
        const found = {};
        for (const side of order) found[side] = await children[side].tell('resumes', { inFlight });
        // The first round warms up.
        for (const number of round > 0 ? Object.keys(found.this) : []) {
          const name = `${inFlight} in flight, ${number}`;
          ratios[name] ??= [];
          const [at, other] = [found.this[number], found.other[number]];
          ratios[name].push({ ratio: at / other, at });
        }
      }
      console.error(`round ${round} of ${values.rounds}`);
    }
    print(ratios);
  } finally {
    await Promise.all(Object.values(children).map((child) => child.stop()));
    await rm(folder, { recursive: true, force: true });
  }
}

function print(ratios) {
  const show = (number) => number.toFixed(2);
  const rows = Object.entries(ratios).map(([measured, samples]) => {
    const { median, min, max } = spread(samples.map(({ ratio }) => ratio));
    const at = spread(samples.map(({ at }) => at)).median;
    const ratio = { ratio: show(median), least: show(min), greatest: show(max) };
    return { measured, ...ratio, 'this build': show(at) };
  });
  console.table(rows);
}

/** A process with one World and its worker. */
async function serve() {
  const bundles = await buildWorkflows(FIXTURES);
  // The workflow says so at every replay.
  console.log = () => {};
  const require = createRequire(import.meta.url);
  for (const bundle of ['flow.js', 'step.js']) require(join(bundles, bundle));
  const sdk = await import('workflow/api');
  const { getWorld } = await import('workflow/runtime');
  // By its path: by its name it would be this build in both processes.
  const { default: ours } = await import(pathToFileURL(process.env.WORKFLOW_TARGET_WORLD).href);
  const { resumeHook } = process.env.ITERATING_CHILD === 'hookline' ? ours : sdk;
  const { start } = sdk;
  const { waitForHook } = ours;
  const { workflows } = JSON.parse(readFileSync(join(bundles, 'manifest.json'), 'utf8'));
  const [, workflow] = Object.values(workflows)
    .flatMap(Object.entries)
    .find(([name]) => name === 'inbox');
  const replays = countReplays(getWorld());
  await getWorld().start();
  let lanes = 0;

  async function lane() {
    lanes += 1;
    const token = `iterating ${lanes}`;
    const { runId } = await start({ workflowId: workflow.workflowId }, [token]);
    await waitForHook(token);
    return { token, runId };
  }

  async function resumeOften({ token, runId }, times) {
    for (let n = 0; n < times; n += 1) {
      const replayed = replays.next(runId);
      await resumeHook(token, { n });
      await replayed;
      await pause(REST_MS);
    }
  }

  async function resumes({ inFlight }) {
    const parked = await Promise.all(Array.from({ length: inFlight }, lane));
    await pause(100);
    const [before, cpu, began] = [replays.count(), process.cpuUsage(), performance.now()];
    const times = RESUMES[inFlight];
    await Promise.all(parked.map((one) => resumeOften(one, times)));
    const took = performance.now() - began;
    const { user, system } = process.cpuUsage(cpu);
    const count = inFlight * times;
    const replayed = replays.count() - before;
    await Promise.all(parked.map(({ token }) => resumeHook(token, { done: true })));
    return {
      cpuMsEach: (user + system) / 1000 / count,
      msEach: took / count,
      replaysEach: replayed / count,
    };
  }

  obey({ resumes }, () => getWorld().close());
}

/** Each replay begins with `run_started`. */
function countReplays(world) {
  const waiting = new Map();
  let replays = 0;
  const { create } = world.events;
  world.events.create = async (runId, event, options) => {
    if (event.eventType === 'run_started') {
      replays += 1;
      waiting.get(runId)?.();
      waiting.delete(runId);
    }
    return create(runId, event, options);
  };
  return {
    count: () => replays,
    next: (runId) => new Promise((resolve) => waiting.set(runId, resolve)),
  };
}
