// Makes, uses, replaces and closes Worlds for tests in a random order, some with calls that it does
// not await. A seed names an order. Whatever is left, the process must end by itself after the last
// World is closed or replaced.
//
//   node test-worlds.mjs <seed>      prints what it does, and END

import { writeSync } from 'node:fs';
import { getRun, resumeHook, start, waitForHook } from 'hookline';
import { createTestWorld } from 'hookline/testing';

const WORKFLOW = { workflowId: 'workflow//./a//b' };
const STARTS = [undefined, '2030-01-01', '2020-01-01', new Date(0), Date.now() + 1000];
const FAULTS = ['IO', 'BUSY', 'STORAGE_FULL', 'READ_ONLY', 'CORRUPT'];

const random = generator(Number(process.argv[2]));
const pick = (choices) => choices[Math.floor(random() * choices.length)];
// Written at once, so that the last action is visible even if the process must be killed.
const say = (line) => writeSync(1, `${line}\n`);

let world;
let tokens = [];
const runs = [];

/** Numbers from 0 to 1, the same ones for the same seed. */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function makeWorld() {
  const now = pick(STARTS);
  say(`a World, now ${now}`);
  world = createTestWorld({ now });
  tokens = [];
}

async function close() {
  const { close } = world;
  world = undefined;
  await close();
}

const token = () => pick(tokens) ?? 'nobody';

/** The actions of a test; it awaits only those of `AWAITED`. */
const DOINGS = {
  async seed() {
    tokens.push((await world.seedHook({ metadata: { n: tokens.length } })).token);
  },
  async start() {
    runs.push((await start(WORKFLOW, [1])).runId);
  },
  async handle() {
    const how = pick(['return', 'throw', 'again', 'later']);
    world.createQueueHandler(pick(['__wkf_step_', '__wkf_workflow_']), async () => {
      if (how === 'throw') throw new Error('on purpose');
      if (how === 'again') return { timeoutSeconds: 1 };
      if (how === 'later') await new Promise((resolve) => setTimeout(resolve, 20));
    });
  },
  resume: () => resumeHook(token(), { ok: true }),
  resumeAll: () => Promise.all(tokens.map((token) => resumeHook(token, 1))),
  send: () =>
    world.queue('__wkf_step_x', {}, pick([{}, { delaySeconds: 5 }, { delaySeconds: 1e6 }])),
  drain: () => world.drain({ skipSleeps: pick([true, false]) }),
  advance: () => world.advance(pick([0, 1, '1s', '1d', '30d'])),
  fail: () => world.failCommit(pick([1, 2, 3, 7]), { code: pick(FAULTS) }),
  read: () => world.resumes(),
  write: () => world.writeToStream('stream', 'run', 'x'),
  deliver: () => world.start(),
  close,
  awaitHookBriefly: () => world.waitForHook(token(), { timeout: 30 }),
};

/** Actions that last until another action, which may never happen. */
const WAITS = {
  awaitHook: () => world.waitForHook('nobody'),
  awaitHookOfProcess: () => waitForHook('nobody'),
  awaitRun: async () => {
    const earlier = pick(runs);
    const run = earlier ? getRun(earlier) : await start(WORKFLOW, [1]);
    return run.returnValue;
  },
  readStream: async () => (await world.readFromStream('stream')).getReader().read(),
};

async function step() {
  if (!world || random() < 0.12) makeWorld();
  const isWait = random() < 0.2;
  const doings = isWait ? WAITS : DOINGS;
  const name = pick(Object.keys(doings));
  const isAwaited = !isWait && random() < 0.75;
  say(isAwaited ? name : `${name}, for which nobody waits`);
  const done = doings[name]().catch((error) => say(`  ${name}: ${error.name} ${error.code ?? ''}`));
  if (isAwaited) await done;
}

for (let left = 3 + Math.floor(random() * 25); left > 0; left -= 1) await step();
// An operation that was not awaited must not open its own database afterwards.
if (!world || random() < 0.5) makeWorld();
else await close();
say('END');
