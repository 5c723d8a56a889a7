/** Workflows on Postgres beside the same on one SQLite file: lifecycles, and a step on another process. */
import { join } from 'node:path';
import { judged, spread } from './report.mjs';
import { startChild } from './rpc.mjs';

const IN_FLIGHT = 32;
const LIVES = 320;
const STEPS = 60;

const show = ({ min, median, max }, digits) =>
  `${median.toFixed(digits)} (${min.toFixed(digits)} ... ${max.toFixed(digits)})`;

function process(context, url, env = {}) {
  const child = startChild('lifecycle/child.mjs', ['hookline', 'workflow'], [], {
    WORKFLOW_TARGET_WORLD: 'hookline',
    WORKFLOW_HOOKLINE_URL: url,
    ...env,
  });
  return context.started(child);
}

/** Whole lives in a second, and from a call to the step, in one process. */
export async function measureLifecycles(context) {
  const { folder, rounds, say, schemaUrl, server } = context;
  const places = { postgres: schemaUrl('lifecycles'), sqlite: join(folder, 'lifecycles.db') };
  const worlds = Object.entries(places).map(([name, url]) => [name, process(context, url)]);
  const taken = [];
  for (let number = 0; number <= rounds; number += 1) {
    say(number > 0 ? `lifecycles: round ${number} of ${rounds}` : 'lifecycles: warming up');
    const round = {};
    for (const [name, child] of number % 2 === 0 ? worlds : worlds.toReversed()) {
      const step = await child.tell('toStep', { count: STEPS });
      const { perSecond } = await child.tell('lifecycles', { inFlight: IN_FLIGHT, count: LIVES });
      round[name] = { ...step, perSecond };
    }
    if (number > 0) taken.push(round);
  }
  const [[, child]] = worlds;
  const counts = await server.counted(LIVES, () =>
    child.tell('lifecycles', { inFlight: IN_FLIGHT, count: LIVES }),
  );
  const of = (name, field) => taken.map((round) => round[name][field]);
  const rows = worlds.map(([name]) => [
    name,
    {
      [`lifecycles/s, ${IN_FLIGHT} in flight`]: show(spread(of(name, 'perSecond')), 0),
      'call to step, p50 ms': show(spread(of(name, 'p50Ms')), 2),
      'p99 ms': show(spread(of(name, 'p99Ms')), 2),
    },
  ]);
  console.table(Object.fromEntries(rows));
  const { worked, ...numbers } = counts;
  console.log('one lifecycle costs the server', numbers);
  const ratios = (field) =>
    spread(taken.map(({ postgres, sqlite }) => postgres[field] / sqlite[field]));
  const targets = [
    {
      what: `lifecycles a second, ${IN_FLIGHT} in flight / SQLite`,
      ...ratios('perSecond'),
      least: 0.8,
    },
    { what: '  call to step in one process, p50 / SQLite', ...ratios('p50Ms') },
  ];
  return { rounds: taken, counts: numbers, targets: targets.map(judged) };
}

/** From a call in one process until the step runs in another one. */
export async function measureSteps(context) {
  const { folder, rounds, say, schemaUrl } = context;
  const places = { postgres: schemaUrl('steps'), sqlite: join(folder, 'steps.db') };
  const pairs = Object.entries(places).map(([name, url]) => {
    const calls = { BENCH_CALLS_ONLY: '1' };
    return [name, { worker: process(context, url), caller: process(context, url, calls) }];
  });
  const taken = [];
  for (let number = 0; number <= rounds; number += 1) {
    say(number > 0 ? `steps: round ${number} of ${rounds}` : 'steps: warming up');
    const round = {};
    for (const [name, pair] of number % 2 === 0 ? pairs : pairs.toReversed()) {
      round[name] = await callsToSteps(pair);
    }
    if (number > 0) taken.push(round);
  }
  const of = (name, field) => taken.map((round) => round[name][field]);
  console.table(
    Object.fromEntries(
      pairs.map(([name]) => [
        `${name}, step on another process`,
        {
          'p50 ms': show(spread(of(name, 'p50Ms')), 2),
          'p99 ms': show(spread(of(name, 'p99Ms')), 2),
        },
      ]),
    ),
  );
  const targets = [
    {
      what: 'call to step on another process, p50 / SQLite',
      ...spread(taken.map(({ postgres, sqlite }) => postgres.p50Ms / sqlite.p50Ms)),
      most: 2,
    },
  ];
  return { rounds: taken, targets: targets.map(judged) };
}

async function callsToSteps({ worker, caller }) {
  const took = [];
  for (let done = 0; done < STEPS; done += 1) {
    const token = `steps:${done}:${Math.random()}`;
    const parked = worker.tell('awaitHook', { token });
    const { runId } = await caller.tell('startRun', { token });
    await parked;
    await new Promise((resolve) => setTimeout(resolve, 3));
    const stepped = worker.tell('awaitStep', { token, runId });
    const { calledAt } = await caller.tell('resumeRun', { token });
    took.push((await stepped).startedAt - calledAt);
  }
  took.sort((a, b) => a - b);
  const at = (share) => took[Math.floor(took.length * share)];
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
