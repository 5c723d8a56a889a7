// `npm run demo`: plays the approval story against the real server in server.mjs, twice. The
// second time the server is killed with SIGKILL while the workflow waits.

import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inspect, promisify } from 'node:util';
import { startServer } from './child.mjs';
import { dim, fail, say, title } from './terminal.mjs';

const STEP_LIMIT_MS = 30_000;
const LOOK_AGAIN_MS = 5;
const here = dirname(fileURLToPath(import.meta.url));
// Where Hookline keeps its file when nothing is configured: in the working directory.
const data = join(here, '.workflow-data');

async function main() {
  title('Hookline: an approval that outlives its server');
  await prepare();
  let server = await startServer(here, STEP_LIMIT_MS);
  say('server', `pid ${server.pid}, ${server.url}`);
  try {
    title('1. Pause, approve, resume');
    await play(server, { number: '1001', amount: 420 });

    title('2. The same, with kill -9 between pause and resume');
    await play(server, { number: '1002', amount: 7500 }, async () => {
      await server.kill();
      say('killed', `pid ${server.pid} by SIGKILL, while the workflow waits`);
      const began = performance.now();
      server = await startServer(here, STEP_LIMIT_MS);
      say('restarted', `pid ${server.pid} on the same file`, began);
      return server;
    });

    title('3. A token nobody waits for');
    const gone = await server.call('POST', '/approvals/invoice-1001', { approved: true });
    expect(gone.status === 404, `approving twice answered ${gone.status}, not 404`);
    say('refused', `HTTP ${gone.status} ${inspect(gone.body)}`);
  } catch (error) {
    for (const line of server.takeOutput()) say('server', dim(line));
    throw error;
  } finally {
    await server.stop();
  }
  console.log();
  say('file', relative(process.cwd(), join(data, 'hookline.db')));
}

async function prepare() {
  await rm(data, { recursive: true, force: true });
  const began = performance.now();
  // What `npx workflow build` does.
  const runtime = createRequire(import.meta.url).resolve('workflow/runtime');
  const cli = join(dirname(runtime), '..', 'bin', 'run.js');
  await promisify(execFile)(process.execPath, [cli, 'build'], { cwd: here, timeout: 120_000 });
  say('compiled', 'workflows/approval.ts, with `workflow build`', began);
}

async function play(server, invoice, interrupt = async () => server) {
  const token = `invoice-${invoice.number}`;
  let began = performance.now();
  const { body: run } = await server.call('POST', '/approvals', invoice);
  say('started', run.runId, began);

  const { body: paused } = await until(`a hook ${token}`, async () => {
    const answer = await server.call('GET', `/approvals/${token}`);
    return answer.status === 200 && answer;
  });
  say('paused', `at hook ${token}, metadata ${inspect(paused.metadata)}`, began);

  const current = await interrupt();
  const { body: found } = await current.call('GET', `/approvals/${token}`);
  expect(found.runId === run.runId, `the hook belongs to ${found.runId}, not to ${run.runId}`);

  began = performance.now();
  const decision = { approved: true, by: 'Ada' };
  const resumed = await current.call('POST', `/approvals/${token}`, decision);
  expect(resumed.status === 200, `resuming answered ${resumed.status}`);
  say('resumed', `${resumed.body.hookId} with ${inspect(decision)}`, began);

  const { body: done } = await until(`the end of ${run.runId}`, async () => {
    const answer = await current.call('GET', `/runs/${run.runId}`);
    return !['pending', 'running'].includes(answer.body.status) && answer;
  });
  expect(done.result?.status === 'paid', `the run ended as ${inspect(done)}`);
  for (const line of current.takeOutput()) say('server', dim(line));
  say('result', inspect(done.result), began);
}

async function until(what, look) {
  const limit = performance.now() + STEP_LIMIT_MS;
  while (performance.now() < limit) {
    const found = await look();
    if (found) return found;
    await pause(LOOK_AGAIN_MS);
  }
  throw new Error(`${what} did not come within ${STEP_LIMIT_MS / 1000} s`);
}

function expect(truth, otherwise) {
  if (!truth) throw new Error(otherwise);
}

await main().catch(fail);
