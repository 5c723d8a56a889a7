// One platform's tarballs, installed and used: needs Node and npm, and nothing of this repository.
//
//   node integration/smoke.mjs <folder of tarballs> <platform>     such as linux-x64-musl
//   node integration/smoke.mjs <folder of tarballs> source         builds the addon instead

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [folder, platform] = process.argv.slice(2);
const tarball = (name) => {
  const found = readdirSync(folder).find((file) => new RegExp(`^${name}-\\d.*\\.tgz$`).test(file));
  assert.ok(found, `no ${name} in ${folder}`);
  return resolve(folder, found);
};

/** A hook is made, resumed and gone, by require and by import; prints the appended events. */
const USE = `
  const { createWorld, getHookByToken } = require('hookline');
  const world = createWorld();
  const input = new TextEncoder().encode('devl[[]]');
  const append = (runId, eventType, more) =>
    world.events.create(runId, { eventType, specVersion: 3, ...more });
  (async () => {
    const { resumeHook } = await import('hookline');
    const eventData = { deploymentId: 'd', workflowName: 'w', input, executionContext: { workflowCoreVersion: '4.8.9' } };
    const { run: { runId } } = await append(null, 'run_created', { eventData });
    await append(runId, 'run_started');
    await append(runId, 'hook_created', { correlationId: 'hook_1', eventData: { token: 't' } });
    const hook = await resumeHook('t', { approved: true });
    if (hook.hookId !== (await getHookByToken('t')).hookId) throw new Error('another hook');
    await append(runId, 'run_completed', { eventData: { output: input } });
    const gone = await resumeHook('t', {}).catch((error) => error.name);
    const { data } = await world.events.list({ runId });
    await world.close();
    console.log(JSON.stringify({ gone, types: data.map((event) => event.eventType) }));
  })();`;

const app = mkdtempSync(join(tmpdir(), 'hookline-smoke-'));
const run = (command, args, options = {}) =>
  execFileSync(command, args, { cwd: app, encoding: 'utf8', ...options });
try {
  writeFileSync(join(app, 'package.json'), '{ "name": "smoke", "private": true }');
  const tarballs = [tarball('hookline')];
  if (platform !== 'source') tarballs.push(tarball(`hookline-${platform}`));
  const omit = platform === 'source' ? ['--omit=optional'] : [];
  run('npm', ['install', '--no-audit', '--no-fund', ...omit, ...tarballs], {
    shell: process.platform === 'win32',
    stdio: 'inherit',
  });
  if (platform === 'source') {
    const script = join('node_modules', 'hookline', 'scripts', 'build-from-source.mjs');
    run(process.execPath, [script], { stdio: 'inherit' });
  }
  assert.deepEqual(JSON.parse(run(process.execPath, ['-e', USE])), {
    gone: 'HookNotFoundError',
    types: ['run_created', 'run_started', 'hook_created', 'hook_received', 'run_completed'],
  });
  console.log(`${platform}: installed and used on Node ${process.version}`);
} finally {
  rmSync(app, { recursive: true, force: true });
}
