/** What keeps a process alive, and what does not. */
import { join } from 'node:path';
import { cleanUp, newDatabase, ROOT, runNode } from './support';

afterEach(cleanUp);

const PRELUDE = `
  const { createWorld, resumeHook } = require(${JSON.stringify(join(ROOT, 'dist', 'index.js'))});
  const world = createWorld();
  async function seed(token) {
    const input = new TextEncoder().encode('devl[[]]');
    const { run } = await world.events.create(null, {
      eventType: 'run_created', specVersion: 3,
      eventData: { deploymentId: 'd', workflowName: 'w', input },
    });
    await world.events.create(run.runId, {
      eventType: 'hook_created', specVersion: 3, correlationId: 'hook_1', eventData: { token },
    });
  }
`;

function run(script: string, onOutput?: Parameters<typeof runNode>[2]) {
  const env = { ...process.env, WORKFLOW_HOOKLINE_URL: newDatabase() };
  return runNode(['-e', PRELUDE + script], { env }, onOutput);
}

test('a script that used a World ends by itself, without close()', async () => {
  const ended = await run(`world.runs.list().then(() => console.log('listed'));`);
  expect(ended).toMatchObject({ code: 0, stdout: 'listed\n', stderr: '' });
});

test('a script that started a World ends by itself, without close()', async () => {
  const ended = await run(`
    world.createQueueHandler('__wkf_workflow_', async () => undefined);
    world.start().then(() => console.log('started'));
  `);
  expect(ended).toMatchObject({ code: 0, stdout: 'started\n', stderr: '' });
});

test('a script that only awaits resumeHook stays alive until it settles', async () => {
  const ended = await run(`
    seed('token')
      .then(() => resumeHook('token', { ok: true }))
      .then(() => console.log('resumed'), (error) => console.log(String(error)));
  `);
  expect(ended).toMatchObject({ code: 0, stdout: 'resumed\n', stderr: '' });
});

test('a resume of a process that never called start() leaves a message for one that does', async () => {
  const ended = await run(`
    seed('token')
      .then(() => resumeHook('token', { ok: true }))
      .then(async ({ runId }) => {
        const delivered = new Promise((resolve) =>
          world.createQueueHandler('__wkf_workflow_', async (message) => resolve(message)));
        // A delivery is not one of our promises: a process that only waits for a delivery must keep
        // itself alive.
        const staying = setInterval(() => undefined, 1000);
        await world.start();
        console.log((await delivered).runId === runId);
        clearInterval(staying);
      });
  `);
  expect(ended).toMatchObject({ code: 0, stdout: 'true\n' });
});

test('a started World that is closed lets the process end', async () => {
  const ended = await run(`
    world.createQueueHandler('__wkf_workflow_', async () => undefined);
    world.start().then(() => world.close()).then(() => console.log('closed'));
  `);
  expect(ended).toMatchObject({ code: 0, stdout: 'closed\n', stderr: '' });
});

test('a reader that was cancelled before there was a database keeps no process alive', async () => {
  const ended = await run(`
    (async () => {
      const reader = (await world.readFromStream('tail')).getReader();
      const read = reader.read();
      await seed('token');
      // The reader looks for the database again at once, and finds it.
      await reader.cancel();
      console.log((await read).done);
    })();
  `);
  expect(ended).toMatchObject({ code: 0, stdout: 'true\n', stderr: '' });
});

test('SIGTERM ends a server with a started World at once', async () => {
  let sent = 0;
  const ended = await run(
    `
      world.createQueueHandler('__wkf_workflow_', async () => undefined);
      require('node:http').createServer().listen(0, async () => {
        await world.start();
        (await world.readFromStream('tail')).getReader().read();
        console.log('ready');
      });
    `,
    (stdout, kill) => {
      if (!stdout.includes('ready') || sent) return;
      sent = Date.now();
      kill('SIGTERM');
    },
  );
  expect(ended.signal).toBe('SIGTERM');
  expect(Date.now() - sent).toBeLessThan(2000);
});

test('an error of a World in a worker thread is an error there', async () => {
  const ended = await run(`
    const { Worker, isMainThread } = require('node:worker_threads');
    const inWorker = \`
      const { resumeHook } = require(${JSON.stringify(join(ROOT, 'dist', 'index.js')).replaceAll('"', "'")});
      resumeHook('nobody', 1).catch((error) => {
        require('node:worker_threads').parentPort.postMessage(
          error instanceof Error && error.name);
      });
    \`;
    const worker = new Worker(inWorker, { eval: true });
    worker.on('message', (name) => console.log(name));
  `);
  expect(ended).toMatchObject({ code: 0, stdout: 'HookNotFoundError\n' });
});
