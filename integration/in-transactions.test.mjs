// The lines of docs/postgres.md that resume a hook in a transaction of the user, each with the real
// library: what is rolled back leaves nothing, and what is committed is there with the user's own row.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startPostgres } from '../scripts/postgres.mjs';
import { freePort, newFolder, packages, program } from './apps.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const LIBRARIES = {
  pg: '8.23.1',
  postgres: '3.4.9',
  'drizzle-orm': '0.45.4',
  knex: '3.3.0',
  prisma: '6.19.3',
  '@prisma/client': '6.19.3',
  '@prisma/adapter-pg': '6.19.3',
};
/** Prisma would download programs, which a client with an adapter never calls. */
const WITHOUT_ENGINES = {
  URL: 'postgres://nowhere',
  PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
  PRISMA_QUERY_ENGINE_LIBRARY: process.execPath,
};

let folder;
let postgres;

before(async () => {
  folder = await newFolder('in-transactions');
  await cp(join(here, 'in-transactions'), folder, { recursive: true });
  const dependencies = { ...packages, ...LIBRARIES, workflow: '4.8.9' };
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
  const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
  await program(folder, 'npm', install);
  const prisma = join(folder, 'node_modules', 'prisma', 'build', 'index.js');
  await program(folder, process.execPath, [prisma, 'generate'], 60_000, WITHOUT_ENGINES);
  const [place, port] = [await newFolder('postgres-server'), await freePort()];
  const script = join(here, '..', 'scripts', 'install-postgres.sh');
  const programs = execFileSync('bash', [script], { encoding: 'utf8' }).trim();
  postgres = startPostgres({ programs, place, port, settings: ['fsync=off'] });
});

after(() => postgres?.stop());

/** The documented lines, each behind a comment with the name of its library. */
async function documentedLines() {
  const page = await readFile(join(here, '..', 'docs', 'postgres.md'), 'utf8');
  const [, section] = page.split('## In your own transaction\n');
  const [, block] = section.match(/```ts\n([^`]*(?:`[^`]+`[^`]*)*?)```/);
  const lines = block.trim().split('\n');
  return Object.fromEntries(
    lines.flatMap((line, at) => (line.startsWith('// ') ? [[line.slice(3), lines[at + 1]]] : [])),
  );
}

for (const library of [
  'pg',
  'postgres.js',
  'Drizzle',
  'Drizzle on postgres.js',
  'Prisma',
  'Knex',
]) {
  test(`with ${library} the documented line resumes if and only if the transaction commits`, async () => {
    const line = (await documentedLines())[library.replace(' on postgres.js', '')];
    assert.ok(line, `${library} is documented`);
    const env = { URL: postgres.url, LIBRARY: library, LINE: line };
    const said = await program(folder, process.execPath, ['story.mjs'], 60_000, env);
    assert.deepEqual(JSON.parse(said.trim().split('\n').at(-1)), {
      afterRollback: { payloads: [], orders: 0 },
      afterCommit: {
        payloads: [{ approved: true, amount: 1.5, items: [null, 'é"\n'], empty: {} }],
        orders: 1,
      },
      unknown: 'HL404',
    });
  });
}
