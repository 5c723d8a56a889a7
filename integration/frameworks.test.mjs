// The examples for Hono and Nitro: built, served, resumed over REST, killed; one on every Node.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { freePort, installApp, NODES, ownTests, program, Server } from './apps.mjs';
import { worksOnEveryNode } from './node-versions.mjs';

for (const [example, manager] of [
  ['hono', 'npm'],
  ['nitro', 'pnpm'],
]) {
  describe(`${example}, installed with ${manager}`, () => {
    let folder;
    let server;
    let serve;

    before(async () => {
      const app = await installApp(example, manager);
      folder = app;
      const nitro = join('node_modules', 'nitro', 'dist', 'cli', 'index.mjs');
      await program(app, process.execPath, [nitro, 'build']);
      const port = await freePort();
      serve = (more = {}) =>
        Server.start(app, [join('.output', 'server', 'index.mjs')], {
          port,
          env: { WORKFLOW_TARGET_WORLD: 'hookline', ...more },
        });
      server = await serve();
    });
    after(() => server?.kill());

    const call = async (method, path, body) => {
      const response = await fetch(`${server.url}/api/${path}`, {
        method,
        body: body && JSON.stringify(body),
      });
      return { status: response.status, body: await response.json() };
    };
    const paused = (token) =>
      server.until(`the hook ${token}`, async () => {
        const found = await call('GET', `approvals/${token}`);
        return found.status === 200 && found.body;
      });
    const ended = (runId) =>
      server.until(`the end of ${runId}`, async () => {
        const { body } = await call('GET', `runs/${runId}`);
        return body.status === 'completed' && body.result;
      });

    // Those of the other one compile its workflows each time.
    for (const version of example === 'nitro' ? NODES : NODES.slice(0, 1)) {
      test(`the tests of the app itself pass on Node ${version}`, () => ownTests(folder, version));
    }

    test('a workflow is started, pauses, is resumed and ends', async () => {
      const started = await call('POST', 'approvals', { invoice: '1001', amount: 420 });
      const { runId } = started.body;
      const hook = await paused('invoice-1001');
      assert.deepEqual(hook, { runId, metadata: { invoice: '1001', amount: 420 } });
      const resumed = await call('POST', 'approvals/invoice-1001', { approved: true, by: 'Ada' });
      assert.deepEqual(resumed, { status: 200, body: { runId } });
      const result = await ended(runId);
      assert.deepEqual(result, { status: 'paid', by: 'Ada', receipt: 'R-1001' });
    });

    test('a token that nobody waits for is 404', async () => {
      const answer = await call('POST', 'approvals/nobody', { approved: true, by: 'Ada' });
      assert.deepEqual(answer, { status: 404, body: { error: 'Hook not found' } });
    });

    test('killed between resume and continuation: after a restart it completes, once', async () => {
      const { body } = await call('POST', 'approvals', { invoice: '1002', amount: 7 });
      await paused('invoice-1002');
      await server.kill();
      const before = server.output;
      server = await serve({ WORKFLOW_HOOKLINE_ROLE: 'producer' });
      const decision = { approved: true, by: 'Ada' };
      assert.equal((await call('POST', 'approvals/invoice-1002', decision)).status, 200);
      await server.kill();
      server = await serve();
      assert.equal((await ended(body.runId)).status, 'paid');
      assert.equal((before + server.output).match(/paying 7 € for 1002/g)?.length, 1);
    });

    if (example === 'hono') worksOnEveryNode(() => folder);

    test('on SIGTERM it ends', async () => {
      const [code, signal] = await server.kill('SIGTERM');
      assert.ok(code === 0 || code === 143 || signal === 'SIGTERM', `${code} ${signal}`);
    });
  });
}
