/**
 * What an idle worker costs: 100,000 runs parked on hooks and 10,000 sleeping ones, in one file.
 * `node bench/idle.mjs [PARKED] [SLEEPING] [SECONDS]`.
 *
 * Reports how long a fresh process takes until `start()` resolves and until a resume of one of the
 * parked runs is delivered, and the share of one core that it uses while nothing happens, first
 * while forgotten runs are searched for and then in peace. Nothing is asserted.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import hookline, { resumeHook } from '../dist/index.mjs';
import { atOnce, park, startRuns, token } from './load.mjs';

const WEEKS_MS = 1000 * 3600 * 24 * 30;
const STEP_MS = 1000;
/** After these, searches are rare. */
const BOTH_SEARCHES_MS = 240_000;

const [parked = 100_000, sleeping = 10_000, seconds = 20] = process.argv.slice(2).map(Number);

if (process.env.IDLE_CHILD) await idle(process.env.IDLE_CHILD);
else await run();

async function run() {
  const folder = mkdtempSync(join(tmpdir(), 'hookline-idle-'));
  const url = join(folder, 'hookline.db');
  try {
    const world = hookline({ url, durability: 'normal' });
    await park(world, parked);
    await sleep(world);
    // What parking leaves behind: a replay of each run that has seen everything, and is done.
    await replayAll(world);
    await world.close();
    const args = [fileURLToPath(import.meta.url), ...[parked, sleeping, seconds].map(String)];
    const env = { ...process.env, IDLE_CHILD: url };
    process.stdout.write(execFileSync(process.execPath, args, { env, encoding: 'utf8' }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs that sleep for weeks, each with a wait and the message that ends it. */
async function sleep(world) {
  const runIds = await startRuns(world, sleeping);
  let next = 0;
  await atOnce(512, sleeping, async () => {
    const number = next++;
    const resumeAt = new Date(Date.now() + WEEKS_MS + STEP_MS * number);
    await world.events.create(runIds[number], {
      eventType: 'wait_created',
      specVersion: 3,
      correlationId: `wait_${String(number).padStart(26, '0')}`,
      eventData: { resumeAt },
    });
    const delaySeconds = (resumeAt.getTime() - Date.now()) / 1000;
    await world.queue('__wkf_workflow_bench', { runId: runIds[number] }, { delaySeconds });
  });
}

async function replayAll(world) {
  world.createQueueHandler('__wkf_workflow_', async () => undefined);
  await world.start();
  while ((await world.stats()).messages.due + (await world.stats()).messages.leased > 0) {
    await pause(50);
  }
}

async function idle(url) {
  // A worker alone keeps no process alive; a server does.
  setInterval(() => undefined, 2 ** 30);
  const begun = performance.now();
  const world = hookline({ url });
  globalThis[Symbol.for('@workflow/world//cache')] = world;
  let delivered;
  const delivery = new Promise((resolve) => (delivered = resolve));
  world.createQueueHandler('__wkf_workflow_', async () => delivered());
  world.createQueueHandler('__wkf_step_', async () => undefined);
  await world.start();
  const startMs = performance.now() - begun;
  await resumeHook(token(0), { first: true });
  await delivery;
  const deliveredMs = performance.now() - begun;
  const searching = await share(seconds);
  await pause(BOTH_SEARCHES_MS);
  const peace = await share(seconds);
  const { messages, runs } = await world.stats();
  console.log(`${runs.running} runs are under way, ${messages.sleeping} messages sleep`);
  console.log(`start() resolved after ${startMs.toFixed(0)} ms`);
  console.log(`the first resume was delivered after ${deliveredMs.toFixed(0)} ms`);
  const percent = (part) => `${(100 * part).toFixed(2)} % of a core`;
  console.log(`${percent(searching)} in the first ${seconds} s, while it searches`);
  console.log(`${percent(peace)} in ${seconds} s of the five minutes until the next search`);
  console.log(`${(process.memoryUsage().rss / 2 ** 20).toFixed(0)} MiB`);
  process.exit(0);
}

/** The share of one core that this process uses. */
async function share(duringSeconds) {
  const [before, begun] = [process.cpuUsage(), performance.now()];
  await pause(duringSeconds * 1000);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / (performance.now() - begun);
}
