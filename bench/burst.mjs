/**
 * A burst of resumes of one iterating hook: are all delivered, in order, by how many replays, and how
 * does the time grow? `node bench/burst.mjs [COUNT ...]`; 1000 and 10000 unless told.
 *
 * The whole SDK runs, in one process with the worker. Nothing is asserted but the order.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildWorkflows } from '../scripts/build-workflows.mjs';

const FIXTURES = fileURLToPath(new URL('../__test__/fixtures', import.meta.url));
const counts = process.argv.slice(2).map(Number);

if (process.env.BURST_CHILD) await burst(counts[0]);
else for (const count of counts.length > 0 ? counts : [1000, 10_000]) run(count);

/** Each count in a process and a database of its own. */
function run(count) {
  const folder = mkdtempSync(join(tmpdir(), 'hookline-burst-'));
  const env = {
    ...process.env,
    BURST_CHILD: '1',
    WORKFLOW_TARGET_WORLD: 'hookline',
    WORKFLOW_HOOKLINE_URL: join(folder, 'hookline.db'),
  };
  try {
    const args = [fileURLToPath(import.meta.url), String(count)];
    const report = JSON.parse(execFileSync(process.execPath, args, { env, encoding: 'utf8' }));
    const { acknowledgedMs, completedMs, replays, inOrder } = report;
    console.log(
      `${count} resumes: acknowledged in ${acknowledgedMs} ms, completed in ${completedMs} ms ` +
        `(${(completedMs / count).toFixed(2)} ms each), ${replays} replays, ` +
        `${inOrder ? 'in order' : 'OUT OF ORDER'}`,
    );
    if (!inOrder) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function burst(count) {
  const bundles = await buildWorkflows(FIXTURES);
  let replays = 0;
  const { log } = console;
  console.log = (...values) => {
    if (String(values[0]).startsWith('replay ')) replays += 1;
    else log(...values);
  };
  const require = createRequire(import.meta.url);
  require(join(bundles, 'flow.js'));
  require(join(bundles, 'step.js'));
  const { start } = await import('workflow/api');
  const { getWorld } = await import('workflow/runtime');
  const { resumeHook, waitForHook } = await import('hookline');
  const { workflows } = JSON.parse(readFileSync(join(bundles, 'manifest.json'), 'utf8'));
  const entry = Object.values(workflows)
    .flatMap(Object.entries)
    .find(([name]) => name === 'inbox');
  await getWorld().start();
  const run = await start({ workflowId: entry[1].workflowId }, ['burst']);
  await waitForHook('burst');
  replays = 0;
  const begun = performance.now();
  const sent = Array.from({ length: count }, (_, n) => resumeHook('burst', { n }));
  await Promise.all(sent);
  const acknowledgedMs = Math.round(performance.now() - begun);
  await resumeHook('burst', { done: true });
  const seen = await run.returnValue;
  const completedMs = Math.round(performance.now() - begun);
  const inOrder = seen.length === count && seen.every((n, at) => n === at);
  log(JSON.stringify({ acknowledgedMs, completedMs, replays, inOrder }));
  process.exit(0);
}
