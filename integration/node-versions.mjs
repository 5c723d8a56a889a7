// The packed tarballs on every Node that is supported: required, imported, a hook resumed.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { freePort, NODES, newFolder, nodeOf, program, Server } from './apps.mjs';

const SURFACE = `
  const required = require('hookline');
  import('hookline').then(async (imported) => {
    const same = Object.keys(required).every((name) => imported[name] === required[name]);
    const error = await required.resumeHook('nobody', {}).catch((error) => error);
    const { withHookline } = await import('hookline/next');
    console.log(JSON.stringify({
      node: process.versions.node.split('.')[0],
      same,
      error: error instanceof Error && error.name,
      externals: withHookline({}).serverExternalPackages,
    }));
  });`;

const CONTEXTS = `
  const { AsyncLocalStorage } = require('node:async_hooks');
  const { createWorld } = require('hookline');
  const requests = new AsyncLocalStorage();
  const world = createWorld({ delivery: 'direct' });
  const handlers = [];
  const callers = [];
  const as = (user, work) =>
    requests.run(user, async () => {
      await work();
      callers.push(requests.getStore());
    });
  (async () => {
    // A World that only delivers keeps no process alive.
    const awake = setInterval(() => {}, 1000);
    let delivered;
    const done = new Promise((resolve) => (delivered = resolve));
    await as('ada', () => {
      world.createQueueHandler('__wkf_step_', async () => {
        handlers.push(requests.getStore() ?? null);
        requests.enterWith('mallory');
        await world.runs.list();
        if (handlers.length === 2) delivered();
      });
      return world.start();
    });
    await as('bob', () => world.queue('__wkf_step_1', {}));
    await as('eve', () => world.queue('__wkf_step_2', {}));
    await as('ada', () => done);
    clearInterval(awake);
    await world.close();
    console.log(JSON.stringify({ handlers, callers }));
  })();`;

/** The process opens its own database with Node's SQLite, and another process is the last to close it. */
const SQLITE_BESIDE = `
  const { DatabaseSync } = require('node:sqlite');
  const { execFileSync } = require('node:child_process');
  const { createWorld } = require('hookline');
  const url = process.env.WORKFLOW_HOOKLINE_URL;
  const COUNT = \`
    const { DatabaseSync } = require('node:sqlite');
    const database = new DatabaseSync(process.argv[1]);
    const sql = "SELECT count(*) AS n FROM events WHERE event_type = 'hook_received'";
    console.log(database.prepare(sql).get().n);
    database.close();\`;
  const receivedElsewhere = () =>
    Number(execFileSync(process.execPath, ['--no-warnings', '-e', COUNT, url], { encoding: 'utf8' }));
  (async () => {
    const world = createWorld({ url });
    const { run } = await world.events.create(null, {
      eventType: 'run_created',
      specVersion: 3,
      eventData: { deploymentId: 'd', workflowName: 'workflow//./a//b', input: new Uint8Array(1) },
    });
    const write = (eventType, correlationId, eventData) =>
      world.events.create(run.runId, { eventType, specVersion: 3, correlationId, eventData });
    await write('run_started');
    await write('hook_created', 'hook_1', { token: 'token' });
    const received = [];
    for (let round = 1; round <= 3; round += 1) {
      for (let n = 0; n < 10; n += 1) {
        await write('hook_received', 'hook_1', { token: 'token', payload: new Uint8Array(100) });
      }
      const database = new DatabaseSync(url);
      database.prepare('SELECT count(*) FROM runs').get();
      database.close();
      received.push(receivedElsewhere());
    }
    await world.close();
    console.log(JSON.stringify([...received, receivedElsewhere()]));
  })();`;
/** The Nodes that have SQLite. */
const NODES_WITH_SQLITE = ['22', '24'];

/** Tests of an example that has been installed and built. */
export function worksOnEveryNode(appOf) {
  for (const version of NODES) {
    describe(`on Node ${version}`, () => {
      let node;
      let server;
      before(async () => {
        node = await nodeOf(version);
      });
      after(() => server?.kill());

      test('require and import give one package, which works', async () => {
        const folder = await newFolder('database');
        const env = { WORKFLOW_HOOKLINE_URL: join(folder, 'hookline.db') };
        const output = await program(appOf(), node, ['-e', SURFACE], undefined, env);
        assert.deepEqual(JSON.parse(output), {
          node: version,
          same: true,
          error: 'HookNotFoundError',
          externals: ['hookline'],
        });
      });

      test('handlers run in nobody’s asynchronous context, and callers go on in their own', async () => {
        const env = { WORKFLOW_HOOKLINE_URL: join(await newFolder('database'), 'hookline.db') };
        const output = await program(appOf(), node, ['-e', CONTEXTS], undefined, env);
        assert.deepEqual(JSON.parse(output), {
          handlers: [null, null],
          callers: ['ada', 'bob', 'eve', 'ada'],
        });
      });

      const withSqlite = { skip: !NODES_WITH_SQLITE.includes(version) };
      test(
        'nothing is lost when the process opens its database with node:sqlite',
        withSqlite,
        async () => {
          const env = { WORKFLOW_HOOKLINE_URL: join(await newFolder('database'), 'hookline.db') };
          const options = ['--no-warnings', '-e', SQLITE_BESIDE];
          const output = await program(appOf(), node, options, undefined, env);
          assert.deepEqual(JSON.parse(output), [10, 20, 30, 30]);
        },
      );

      test('a workflow pauses, is resumed and ends', async () => {
        const port = await freePort();
        const folder = await newFolder('database');
        server = await Server.start(appOf(), [join('.output', 'server', 'index.mjs')], {
          port,
          node,
          env: {
            WORKFLOW_TARGET_WORLD: 'hookline',
            WORKFLOW_HOOKLINE_URL: join(folder, 'hookline.db'),
          },
        });
        const post = (path, body) =>
          fetch(`${server.url}/api/${path}`, { method: 'POST', body: JSON.stringify(body) });
        const { runId } = await (await post('approvals', { invoice: '1', amount: 2 })).json();
        await server.until('the hook', async () => {
          const resumed = await post('approvals/invoice-1', { approved: true, by: 'Ada' });
          return resumed.status === 200;
        });
        await server.until('the end', async () => {
          const run = await (await fetch(`${server.url}/api/runs/${runId}`)).json();
          return run.status === 'completed' && run.result.status === 'paid';
        });
      });
    });
  }
}
