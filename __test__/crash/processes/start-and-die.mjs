// Starts runs of the fixture workflow `echo`, and kills itself at a chosen moment of the last
// start.
//
//   node start-and-die.mjs '{"sdk":"workflow","before":3,"moment":"before"|"during"|"after","spinMs":0.4}'
//
// It prints `ack <runId>` for each start that was acknowledged, and `asked <runId>` for the last
// one, before it calls the engine. `before`: it dies with the arguments serialized, before the
// call. `during`: `spinMs` after the call, while the engine receives, writes, syncs or settles.
// `after`: when the promise has resolved.

import { readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from 'hookline';
import { buildWorkflows } from '../../../scripts/build-workflows.mjs';

const { sdk, before, moment, spinMs } = JSON.parse(process.argv[2]);
process.env.APP_SDK = sdk;
process.env.WORKFLOW_TARGET_WORLD = 'hookline';
// The line of the SDK that is loaded is the line of the runs.
const { SDK_MANIFEST } = await import('../../fixtures/sdk.mjs');
const print = (line) => writeSync(1, `${line}\n`);
const fixtures = join(dirname(fileURLToPath(import.meta.url)), '../../fixtures');
const manifest = join(await buildWorkflows(fixtures, { sdk: SDK_MANIFEST }), 'manifest.json');
const files = Object.values(JSON.parse(readFileSync(manifest, 'utf8')).workflows);
const { workflowId } = files.map(({ echo }) => echo).find(Boolean);
const { NativeWorld } = createRequire(import.meta.url)('hookline/binding');

for (let n = 0; n < before; n += 1) print(`ack ${(await start({ workflowId }, [n])).runId}`);

const { startRun } = NativeWorld.prototype;
NativeWorld.prototype.startRun = function (request, payload) {
  print(`asked ${JSON.parse(request).runId}`);
  if (moment === 'before') die();
  const reply = startRun.call(this, request, payload);
  if (moment === 'during') {
    const until = performance.now() + spinMs;
    while (performance.now() < until);
    die();
  }
  return reply;
};
const { runId } = await start({ workflowId }, ['last']);
print(`ack ${runId}`);
die();

function die() {
  process.kill(process.pid, 'SIGKILL');
  for (;;);
}
