// The World of a process is set as the SDK's Vitest plugin does it; then the same story is played by
// the functions of `workflow/api`, and by ours, as an ES module and as CommonJS.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createLocalWorld } from '@workflow/world-local';
import { setWorld } from 'workflow/runtime';
import { buildWorkflows } from '../../scripts/build-workflows.mjs';

const LOOK_AGAIN_MS = 5;

const folder = process.argv[2];
process.env.WORKFLOW_HOOKLINE_URL = join(folder, 'hookline.db');
const bundles = await buildWorkflows(
  join(dirname(fileURLToPath(import.meta.url)), '..', 'fixtures'),
);
const require = createRequire(import.meta.url);

const world = createLocalWorld({ dataDir: join(folder, 'local'), recoverActiveRuns: false });
setWorld(world);
world.registerHandler('__wkf_workflow_', require(join(bundles, 'flow.js')).POST);
world.registerHandler('__wkf_step_', require(join(bundles, 'step.js')).POST);
await world.start();

const { workflows } = JSON.parse(await readFile(join(bundles, 'manifest.json'), 'utf8'));
const approval = Object.values(workflows).find((file) => file.approval).approval;

async function play({ start, getRun, getHookByToken, resumeHook }, token) {
  const run = await start(approval, [token, 'bill']);
  const isThere = () => getHookByToken(token).catch(() => undefined);
  while (!(await isThere())) await pause(LOOK_AGAIN_MS);
  await resumeHook(token, { approved: true, by: 'Ada' });
  return getRun(run.runId).returnValue;
}

const imported = await import('hookline');
const report = {
  sdk: await play(await import('workflow/api'), 'by the SDK'),
  imported: await play(imported, 'imported'),
  required: await play(require('hookline'), 'required'),
  isRun: imported.getRun('wrun_1') instanceof imported.Run,
  madeDatabase: existsSync(process.env.WORKFLOW_HOOKLINE_URL),
};
await world.close();
console.log(JSON.stringify(report));
