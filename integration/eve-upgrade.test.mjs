// Sessions of an agent on eve survive an upgrade of eve, and of the agent: two builds share a database,
// and each session is continued by the build that began it until it moves.
//
//   node integration/run.mjs eve-upgrade                 a dozen sessions
//   node integration/run.mjs eve-upgrade --full          a hundred
//   node integration/run.mjs eve-upgrade 0.77.0          from another version of eve
//
// HOOKLINE_TEST_SEED=<number> kills at the moments of an earlier run.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isFull, newFolder, program } from './apps.mjs';
import { builtAgent } from './eve.mjs';
import { Chaos, Conversation, failedRuns, forEach, release, sequence } from './eve-upgrade.mjs';

const OLD_VERSION = process.env.HOOKLINE_VARIANT || '0.79.2';
const SESSIONS = isFull ? 100 : 12;
const SEED = Number(process.env.HOOKLINE_TEST_SEED ?? Date.now() % 1_000_000);

let builds;
before(async () => {
  const [old, current] = await Promise.all([builtAgent(OLD_VERSION), builtAgent()]);
  builds = { old, current };
});

describe(`eve, from ${OLD_VERSION} to the present version`, () => {
  let url;
  let old;
  let current;
  const served = [];
  const serve = async (built, id) => {
    const agent = await release(built, url, id);
    served.push(agent);
    return agent;
  };

  before(async () => {
    url = join(await newFolder('eve-upgrade'), 'hookline.db');
    old = await serve(builds.old, 'old');
  });
  after(() => Promise.all(served.map((agent) => agent.kill())));

  /** Lets the sessions of one build talk to another one. */
  const move = (conversations, agent) => {
    for (const conversation of conversations) conversation.agent = agent;
  };

  test('what is sent while the old build is down is answered when it is back', async () => {
    const [idle, asked] = await Promise.all(
      ['idle', 'pay down'].map((text) => Conversation.begin(old, text)),
    );
    current = await serve(builds.current, 'current');
    await old.kill();
    move([idle, asked], current);
    await idle.tell('while it is down');
    const answered = asked.approvePayment();
    // The new build works meanwhile, and takes nothing of the old one.
    await Conversation.begin(current, 'hello');
    assert.equal(current.printed('paying'), 0);
    await old.start();
    await Promise.all([answered, idle.isAnswered('while it is down')]);
    assert.deepEqual([old.printed('paying down by old'), current.printed('paying')], [1, 0]);
    await Promise.all([idle, asked].map((it) => it.check()));
  });

  test(`${SESSIONS} sessions, both builds killed at random moments: none is lost, stranded or answered twice`, async (t) => {
    t.diagnostic(`HOOKLINE_TEST_SEED=${SEED}`);
    const random = sequence(SEED);
    const names = Array.from({ length: SESSIONS }, (_, i) => (i % 2 ? `pay ${i}` : `hello ${i}`));
    const conversations = [];
    await forEach(names, async (name) => conversations.push(await Conversation.begin(old, name)));
    move(conversations, current);
    const chaos = [old, current].map((agent) => new Chaos(agent, random));
    let kills;
    try {
      await forEach(conversations, (conversation) => conversation.live(random));
    } finally {
      kills = await Promise.all(chaos.map((one) => one.end()));
    }
    t.diagnostic(`killed the old build ${kills[0]} times, the new one ${kills[1]} times`);
    await forEach(conversations, (conversation) => conversation.talk('four'));
    await old.kill('SIGTERM');
    await forEach(conversations, (conversation) => conversation.talk('with the new build alone'));
    await forEach(conversations, (conversation) => conversation.check());
    assert.deepEqual(await failedRuns(builds.current, url), []);
    const paid = names.filter((name) => name.startsWith('pay ')).map((name) => name.slice(4));
    for (const order of paid) {
      assert.equal(current.printed(`paying ${order} by`), 0, 'only the build that asked pays');
      assert.ok(old.printed(`paying ${order} by old`) <= 1 + kills[0]);
    }
  });

  test('a tool that runs at SIGTERM ends, and the build ends after it', async () => {
    await old.start();
    const session = await Conversation.begin(old, 'hello');
    await session.tell('slow');
    await old.hasPrinted('slow begins');
    const ended = old.kill('SIGTERM');
    await old.letSlowEnd();
    await ended;
    assert.equal(old.printed('slow ends'), 1);
    await old.start();
    move([session], current);
    await session.talk('and then');
    assert.deepEqual([old.printed('slow begins'), current.printed('slow begins')], [1, 0]);
  });
});

test('sessions that another release of the same code adopts go on there', async () => {
  const url = join(await newFolder('eve-adopted'), 'hookline.db');
  const { folder, node } = builds.current;
  const first = await release(builds.current, url, 'first');
  const second = await release(builds.current, url, 'second');
  try {
    const texts = ['hello', 'pay adopted'];
    const sessions = await Promise.all(texts.map((text) => Conversation.begin(first, text)));
    await first.kill();
    const cli = join('node_modules', 'hookline', 'dist', 'cli.js');
    const adopt = ['adopt', '--from', 'first', '--to', 'second', '--yes'];
    await program(folder, node, [cli, ...adopt], undefined, { WORKFLOW_HOOKLINE_URL: url });
    const [idle, asked] = sessions;
    for (const session of sessions) session.agent = second;
    await asked.approvePayment();
    await asked.talk('and then');
    await idle.talk('and then');
    await Promise.all(sessions.map((session) => session.check()));
    assert.equal(second.printed('paying adopted by second'), 1);
  } finally {
    await Promise.all([first, second].map((agent) => agent.kill()));
  }
});
