// `npx hookline import --from postgres://...`, into a file and straight into Postgres: the packed package,
// world-postgres from the registry, and a Postgres of its own.

import assert from 'node:assert/strict';
import { copyFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { installPostgres, startPostgres } from '../scripts/postgres.mjs';
import { freePort, newFolder, program } from './apps.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const tarballs = JSON.parse(process.env.HOOKLINE_PACKAGES ?? '{}');

let folder;
let postgres;
let runs;

before(async () => {
  folder = await installed();
  postgres = await ownPostgres();
  const env = { WORKFLOW_POSTGRES_URL: postgres.url };
  const modules = join(folder, 'node_modules');
  const setUp = join(modules, '@workflow', 'world-postgres', 'bin', 'setup.js');
  await program(folder, process.execPath, [setUp], 60_000, env);
  await copyFile(join(here, 'postgres-runs.mjs'), join(folder, 'runs.mjs'));
  runs = JSON.parse(await program(folder, process.execPath, ['runs.mjs'], 60_000, env));
});

after(() => postgres?.stop());

async function installed() {
  const made = await newFolder('postgres');
  const packages = Object.entries(tarballs).map(([name, file]) => [name, `file:${file}`]);
  const dependencies = {
    ...Object.fromEntries(packages),
    workflow: '4.8.9',
    '@workflow/world-postgres': '4.3.7',
  };
  await writeFile(join(made, 'package.json'), JSON.stringify({ private: true, dependencies }));
  await program(made, 'npm', ['install', '--no-audit', '--no-fund', '--prefer-offline']);
  return made;
}

/** A server of this test alone. */
async function ownPostgres() {
  const programs = installPostgres();
  const [place, port] = [await newFolder('postgres-server'), await freePort()];
  return startPostgres({ programs, place, port, settings: ['fsync=off'] });
}

for (const [place, target] of [
  ['a file', () => join(folder, 'hookline.db')],
  ['Postgres, beside the source', () => `${postgres.url}?schema=imported`],
]) {
  test(`every run of world-postgres is in ${place}, once, with its hook, its sleep and its streams`, () =>
    imports((...args) => hookline('--url', target(), ...args)));
}

async function hookline(...args) {
  const cli = join(folder, 'node_modules', 'hookline', 'dist', 'cli.js');
  return JSON.parse(await program(folder, process.execPath, [cli, ...args, '--json'], 60_000));
}

async function imports(hookline) {
  const first = await hookline('import', '--from', postgres.url);
  assert.deepEqual(first.runs, { total: 4, imported: 4, already: 0, failed: 0 });
  assert.deepEqual([first.failures, first.streams, first.chunks], [[], 2, 3]);
  assert.ok(!JSON.stringify(first).includes('postgres@'), 'the source is named without its user');
  const again = await hookline('import', '--from', postgres.url);
  assert.deepEqual(again.runs, { total: 4, imported: 0, already: 4, failed: 0 });

  const statuses = Object.fromEntries(
    (await hookline('runs')).map(({ runId, status }) => [runId, status]),
  );
  assert.deepEqual(statuses, {
    [runs.waiting]: 'running',
    [runs.done]: 'completed',
    [runs.failed]: 'failed',
    [runs.cancelled]: 'cancelled',
  });
  const { waitingFor, next } = await hookline('explain', runs.waiting);
  assert.deepEqual(waitingFor.map(({ kind }) => kind).sort(), ['hook', 'sleep']);
  assert.match(next[0].what, /a replay .*: due/);
  assert.equal((await hookline('resume', 'pg-token', '{"n":2}')).runId, runs.waiting);
}
