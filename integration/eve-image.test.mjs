// The output of examples/eve-agent alone in what a container gives it: a read-only root with Debian's /usr
// and Node, a volume for the database, a user without rights. No Docker is needed, but root on Linux.
//
//   node integration/run.mjs eve-image

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { builtAgent, EveAgent } from './eve.mjs';

function whyNot() {
  try {
    execFileSync('unshare', ['--mount', '--pid', '--fork', 'true'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'this needs root on Linux';
  }
}

test('an image of nothing but the output goes on after a kill', { skip: whyNot() }, async () => {
  const agent = await EveAgent.serve(await builtAgent(), 'image');
  try {
    const session = await agent.begin('refund');
    await session.event('turn.waiting');
    const before = await session.history();
    await agent.restart();
    assert.deepEqual(await session.history(), before);
    await session.approve();
    assert.match(await session.answer(), /"refunded":120/);
    await session.event('session.waiting');
    await session.say('thanks');
    assert.equal(await session.answer(2), 'thanks: 2 messages');
    assert.equal(agent.printed('refunding 1001'), 1);
    const volume = join(agent.folder, 'volume');
    assert.ok((await readdir(volume)).includes('hookline.db'));
    assert.notEqual((await stat(join(volume, 'hookline.db'))).uid, 0);
  } finally {
    await agent.kill();
  }
});
