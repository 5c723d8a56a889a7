// A worker cannot claim because a page of its queue is damaged. Prints what its own process learns,
// and what other processes see meanwhile.
//
//   node worker-faults.mjs <folder> <path of the CLI>
//
// Prints JSON.

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createWorld } from 'hookline';

const PAGE_BYTES = 4096;
/** The first byte of such a page in SQLite's format. */
const LEAF_OF_TABLE = 0x0d;
const STEP = '__wkf_step_x';
const [, , folder, cli] = process.argv;
const url = join(folder, 'hookline.db');
const report = {};

// A worker alone does not keep its process alive.
const alive = setInterval(() => undefined, 1_000_000);
const warnings = [];
process.on('warning', ({ name, code, message }) => warnings.push({ name, code, message }));

/** Enough messages for several pages; the first one's page is lost, the newest one's is not. */
async function damage() {
  const producer = createWorld({ url, role: 'producer' });
  for (let n = 0; n < 200; n += 1) {
    await producer.queue(STEP, { text: `message ${n} ${'x'.repeat(200)}` });
  }
  const { run } = await producer.events.create(null, {
    eventType: 'run_created',
    specVersion: 3,
    eventData: { deploymentId: 'd', workflowName: 'workflow//./a//b', input: new Uint8Array(1) },
  });
  await producer.queue('__wkf_workflow_workflow//./a//b', { runId: run.runId });
  await producer.close();
  const bytes = readFileSync(url);
  const pageOf = (at) => at - (at % PAGE_BYTES);
  let at = bytes.indexOf('message 0 ');
  // The root of the table was its first leaf, and still holds what it held then.
  while (bytes[pageOf(at)] !== LEAF_OF_TABLE) at = bytes.indexOf('message 0 ', at + 1);
  const page = pageOf(at);
  bytes.fill(0xff, page, page + PAGE_BYTES);
  writeFileSync(url, bytes);
  return run.runId;
}

const outcome = (promise) =>
  promise.then(
    () => 'resolved',
    ({ name, code }) => ({ name, code }),
  );

/** The CLI, whose answer is JSON. */
function ask(...args) {
  const env = { ...process.env, PORT: '', WORKFLOW_HOOKLINE_URL: url };
  return new Promise((resolve) => {
    execFile(process.execPath, [cli, ...args, '--json'], { env }, (_, stdout) => {
      resolve(JSON.parse(stdout));
    });
  });
}

async function until(isSo) {
  while (!(await isSo())) await pause(20);
}

const runId = await damage();

// The worker has a handler, so its first claim fails.
const refused = createWorld({ url, delivery: 'direct' });
refused.createQueueHandler(STEP, async () => undefined);
report.start = await outcome(refused.start());
report.otherwiseUsable = await outcome(refused.runs.get(runId));
report.again = await outcome(refused.start());
await refused.close();
warnings.length = 0;

// Its first claim takes no messages.
const world = createWorld({ url, delivery: 'direct' });
report.startWithoutHandlers = await outcome(world.start());
const warned = once(process, 'warning');
world.createQueueHandler(STEP, async () => undefined);
await warned;
const faults = async () => (await world.stats()).deliveries.faults;
await until(async () => (await faults())[0].times > 1);
report.faults = (await faults()).map(({ firstAt, lastAt, ...fault }) => ({
  ...fault,
  inOrder: firstAt instanceof Date && lastAt instanceof Date && firstAt <= lastAt,
}));
const deliveriesOf = async () =>
  (await ask('doctor')).findings.filter(({ what }) => what === 'Deliveries');
await until(async () => (await deliveriesOf())[0]?.found.includes('cannot claim'));
report.doctor = await deliveriesOf();
report.explain = (await ask('explain', runId)).next;
report.warnings = warnings.splice(0);
await world.close();
report.doctorAfterTheEnd = await deliveriesOf();

// The folder of lock files cannot be made while a file has its name.
const healthy = join(folder, 'healthy.db');
const worker = createWorld({ url: healthy, delivery: 'direct' });
let delivered = 0;
worker.createQueueHandler(STEP, async () => {
  delivered += 1;
});
await worker.start();
renameSync(`${healthy}-owners`, `${healthy}-moved`);
writeFileSync(`${healthy}-owners`, '');
await worker.queue(STEP, { n: 1 });
await once(process, 'warning');
rmSync(`${healthy}-owners`);
await until(() => delivered === 1);
const [fault, ...others] = (await worker.stats()).deliveries.faults;
report.mended = { duty: fault.duty, isPast: fault.isPast, others: others.length };
await worker.close();

clearInterval(alive);
process.stdout.write(JSON.stringify(report));
