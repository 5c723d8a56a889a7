// The agent of examples/eve-agent on eve: sessions that outlive kills, and what ends a turn.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { builtAgent, EveAgent, MODES } from './eve.mjs';

let built;
before(async () => {
  built = await builtAgent();
});

for (const mode of MODES) {
  describe(`eve, ${mode}`, () => {
    let agent;
    before(async () => {
      agent = await EveAgent.serve(built, mode);
    });
    after(() => agent?.kill());

    test('killed while a person is asked: the tool runs once, and the history is kept', async () => {
      const session = await agent.begin('orders');
      assert.match(await session.answer(), /"id":"1001"/);
      await session.event('session.waiting');
      await session.say('refund');
      await session.event('turn.waiting');
      const before = await session.history();
      await agent.restart();
      assert.deepEqual(await session.history(), before);
      await session.approve();
      assert.match(await session.answer(2), /"refunded":120/);
      await session.event('session.waiting', 2);
      await session.say('thanks');
      assert.equal(await session.answer(3), 'thanks: 3 messages');
      assert.deepEqual([agent.printed('listing orders'), agent.printed('refunding 1001')], [1, 1]);
    });

    test('killed inside a tool: it runs again, once', async (t) => {
      const session = await agent.begin('slow');
      await agent.hasPrinted('slow begins');
      await agent.restart();
      const restarted = performance.now();
      await agent.hasPrinted('slow begins', 2);
      t.diagnostic(`it began ${Math.round(performance.now() - restarted)} ms after the restart`);
      await agent.letSlowEnd();
      assert.match(await session.answer(), /slow is done/);
      await session.event('session.waiting');
      assert.deepEqual([agent.printed('slow begins'), agent.printed('slow ends')], [2, 1]);
    });

    // The server outlives its command: it takes no request any more, and ends what it is doing.
    test('killed without its server: what that still does is done once', {
      skip: mode !== 'dev',
    }, async () => {
      await agent.holdSlow();
      const begun = agent.printed('slow begins');
      const session = await agent.begin('slow');
      await agent.hasPrinted('slow begins', begun + 1);
      const killTheRest = await agent.killCommand();
      await agent.letSlowEnd();
      await agent.start();
      assert.match(await session.answer(), /slow is done/);
      await session.event('session.waiting');
      await session.say('thanks');
      assert.equal(await session.answer(2), 'thanks: 2 messages');
      assert.equal(agent.printed('slow begins'), begun + 1);
      killTheRest();
    });

    // Only a development server has a route that lets a schedule run now.
    test('a schedule begins a session', { skip: mode !== 'dev' }, async () => {
      const before = agent.printed('listing orders');
      const { body } = await agent.post('dev/schedules/late-orders');
      assert.equal(body.sessionIds?.length, 1, JSON.stringify(body));
      await agent.hasPrinted('listing orders', before + 1);
    });
  });
}

describe('eve, a session', () => {
  let agent;
  before(async () => {
    agent = await EveAgent.serve(built, 'start');
  });
  after(() => agent?.kill());

  test('cancel ends a turn whose tool still runs', async () => {
    const session = await agent.begin('slow');
    await agent.hasPrinted('slow begins');
    await session.command('cancel');
    await session.event('turn.cancelled');
    await agent.hasPrinted('slow is cancelled');
    await session.say('hello');
    await session.answer();
  });

  test('compact keeps what was said, clear forgets it, and reset ends the session', async () => {
    const session = await agent.begin('orders');
    await session.event('session.waiting');
    await session.command('compact');
    await session.event('compaction.completed');
    await session.say('one');
    await session.answer(2);
    await session.event('session.waiting', 2);
    await session.command('clear');
    await session.event('context.cleared');
    await session.say('two');
    assert.equal(await session.answer(3), 'two: 1 messages');
    await session.command('reset');
    await agent.until('its end', async () => {
      const { body } = await agent.post(`session/${session.id}`, { message: 'three' });
      return body?.code === 'session_not_active';
    });
  });

  test('a subagent and a workflow as a tool answer', async () => {
    const session = await agent.begin('clerk');
    const { data } = await session.event('task.settled');
    assert.equal(data.output, 'the clerk has heard it');
    await session.event('session.waiting');
    await session.say('pause');
    await session.event('session.waiting', 2);
    assert.deepEqual([agent.printed('pause begins'), agent.printed('pause ends')], [1, 1]);
  });

  // eve keeps a private session no longer than it lives; only its title, the first message, stays.
  test('what was said in an ended session is gone from the database', async () => {
    const secret = 'xyzzy-4711';
    const session = await agent.begin('hello');
    await session.event('session.waiting');
    await session.say(secret);
    await session.event('session.waiting', 2);
    assert.equal(await agent.stores(secret), true);
    await session.command('reset');
    await agent.until('410', async () => {
      const { status, text } = await agent.get(`session/${session.id}/stream?follow=false`);
      return status === 410 && text.includes('session_expired');
    });
    await agent.until('a clean database', async () => !(await agent.stores(secret)));
  });
});
