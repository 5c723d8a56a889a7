/**
 * An agent on eve (examples/eve-agent, with its mock model): Hookline beside eve's local World, and beside
 * the limit, a World in memory. See README.md.
 *
 *   node bench/eve.mjs [--rounds 5] [--approvals 10] [--turns 20] [--sessions 32] [--parked 10000]
 *                      [--folder PATH]
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Agent, buildAgents } from './eve-agent.mjs';
import { atOnce } from './load.mjs';
import { spread } from './report.mjs';

const SINGLE_RATIO_MAX = 1;
const MANY_RATIO_MIN = 3;
const START_MS_MAX = 1000;
const IDLE_MS = 10_000;
const SIGNAL = 'refunding 1001';
const WORLDS = ['local', 'memory', 'hookline'];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    approvals: { type: 'string', default: '10' },
    turns: { type: 'string', default: '20' },
    sessions: { type: 'string', default: '32' },
    parked: { type: 'string', default: '10000' },
    folder: {
      type: 'string',
      default: join(dirname(fileURLToPath(import.meta.url)), '.build'),
    },
  },
});
const [approvals, turns, sessions, parked] = ['approvals', 'turns', 'sessions', 'parked'].map(
  (name) => Number(values[name]),
);

await mkdir(values.folder, { recursive: true });
const folder = await mkdtemp(join(values.folder, 'eve-'));
// Outside of the repository, as the apps of its users are.
const apps = await mkdtemp(join(tmpdir(), 'hookline-eve-'));
try {
  const built = await buildAgents(apps);
  await besideLocal(built);
  if (parked > 0) await restartBeside(built);
} finally {
  for (const place of [folder, apps]) await rm(place, { recursive: true, force: true });
}

async function besideLocal(built) {
  const agents = {};
  try {
    for (const name of WORLDS) {
      agents[name] = await Agent.start(built.node, built[name], join(folder, `runs-${name}`));
    }
    const rounds = [];
    for (let number = 0; number <= Number(values.rounds); number += 1) {
      console.error(number > 0 ? `round ${number} of ${values.rounds}` : 'warming up');
      const round = {};
      for (const name of number % 2 === 0 ? WORLDS : WORLDS.toReversed()) {
        round[name] = await measure(agents[name]);
        if (name === 'hookline') round.hookline.two = await withSecond(agents.hookline, built);
      }
      if (number > 0) rounds.push(round);
    }
    print(rounds);
  } finally {
    await Promise.all(Object.values(agents).map((agent) => agent.stop()));
  }
}

/** The turns of two processes on one file, which the local World cannot have. */
async function withSecond(agent, built) {
  const second = await Agent.start(built.node, built.hookline, join(folder, 'runs-hookline'));
  try {
    return await turnsPerSecond([agent, second], sessions);
  } finally {
    await second.stop('SIGTERM');
  }
}

async function measure(agent) {
  return {
    toTool: await approvalToTool(agent),
    single: await turnsPerSecond([agent], 1),
    many: await turnsPerSecond([agent], sessions),
  };
}

/** The median time from the approval to the first line of the tool. */
async function approvalToTool(agent) {
  const samples = [];
  for (let number = 0; number < approvals; number += 1) {
    const session = await agent.begin('Refund 1001');
    const [{ requestId }] = (await session.event('input.requested')).data.requests;
    await session.event('turn.waiting');
    const begins = agent.prints(SIGNAL);
    const asked = performance.now();
    await session.send({ inputResponses: [{ requestId, optionId: 'approve' }] });
    samples.push((await begins) - asked);
    await session.event('session.waiting');
    session.leave();
  }
  return spread(samples).median;
}

/** Sessions that talk at the same time, each one turn after the other, spread over the agents. */
async function turnsPerSecond(agents, count) {
  const all = await Promise.all(
    Array.from({ length: count }, (_, index) => agents[index % agents.length].begin('hello')),
  );
  await Promise.all(all.map((session) => session.event('session.waiting')));
  const begun = performance.now();
  await Promise.all(
    all.map(async (session) => {
      for (let number = 0; number < turns; number += 1) await session.turn('hello');
    }),
  );
  const seconds = (performance.now() - begun) / 1000;
  for (const session of all) session.leave();
  return (count * turns) / seconds;
}

function print(rounds) {
  const of = (world, field) => rounds.map((round) => round[world][field]);
  const show = (numbers) => {
    const { min, median, max } = spread(numbers);
    return `${median.toFixed(2).padStart(8)} (${min.toFixed(2)} to ${max.toFixed(2)})`;
  };
  const line = (what, field, isMet, target, besideField = field) => {
    const [local, memory, hookline] = [
      of('local', besideField),
      of('memory', besideField),
      of('hookline', field),
    ];
    const ratios = (below) => hookline.map((sample, i) => sample / below[i]);
    console.log(`${what}\n  local    ${show(local)}`);
    console.log(`  memory   ${show(memory)}`);
    console.log(`  hookline ${show(hookline)}`);
    const met = isMet(spread(ratios(local)).median) ? 'met' : 'MISSED';
    console.log(`  to local  ${show(ratios(local))}  ${target}: ${met}`);
    console.log(`  to memory ${show(ratios(memory))}`);
  };
  const notSlower = (ratio) => ratio <= SINGLE_RATIO_MAX;
  line('approval to tool, ms', 'toTool', notSlower, 'at most 1');
  line('turns per second, 1 session', 'single', (ratio) => ratio >= 1, 'at least 1');
  const isFaster = (ratio) => ratio >= MANY_RATIO_MIN;
  const many = `turns per second, ${sessions} sessions`;
  line(many, 'many', isFaster, `at least ${MANY_RATIO_MIN}`);
  const two = `${many}, two processes on one file beside one`;
  line(two, 'two', isFaster, `at least ${MANY_RATIO_MIN}`, 'many');
}

/** Starts with no session and starts with many that wait for a message, in turn, each after a kill. */
async function restartBeside(built) {
  await measureStart(built, 'parked', park);
  const starts = { empty: [], parked: [] };
  for (let number = 0; number <= Number(values.rounds); number += 1) {
    for (const place of number % 2 === 0 ? ['empty', 'parked'] : ['parked', 'empty']) {
      const start = await measureStart(built, place);
      if (number > 0) starts[place].push(start);
    }
  }
  const of = (place, field) => starts[place].map((start) => start[field]);
  for (const [place, what] of Object.entries({ empty: 'no session', parked: `${parked} parked` })) {
    const [start, idle] = ['startMs', 'idleMs'].map((field) => spread(of(place, field)));
    console.log(
      `${what}: answers after ${start.median.toFixed(0)} ms (${start.min.toFixed(0)} to` +
        ` ${start.max.toFixed(0)}), then uses ${idle.median.toFixed(0)} ms of processor time` +
        ` in ${IDLE_MS / 1000} s`,
    );
  }
  const more = spread(of('parked', 'startMs').map((ms, i) => ms - starts.empty[i].startMs)).median;
  const met = more <= START_MS_MAX ? 'met' : 'MISSED';
  console.log(`  at most ${START_MS_MAX} ms more: ${more.toFixed(0)} ms, ${met}`);
}

/** How long it takes to answer, and what it uses then; or something is done with it. */
async function measureStart({ node, hookline }, place, instead) {
  const begun = performance.now();
  const agent = await Agent.start(node, hookline, join(folder, place));
  try {
    const startMs = performance.now() - begun;
    if (instead) return await instead(agent);
    const cpuMs = await agent.cpuMs();
    await pause(IDLE_MS);
    return { startMs, idleMs: (await agent.cpuMs()) - cpuMs };
  } finally {
    await agent.stop();
  }
}

async function park(agent) {
  await atOnce(sessions, parked, async () => {
    const session = await agent.begin('hello');
    await session.event('session.waiting');
    session.leave();
  });
}
