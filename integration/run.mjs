// The packed tarballs in real apps: installed outside this repository, and driven as users do.
//
//   node integration/run.mjs            what every change must pass; `npm run build` comes first
//   node integration/run.mjs --full     every mode and bundler
//   node integration/run.mjs next       only the files whose names contain this
//   node integration/run.mjs matrix sveltekit,astro               some frameworks of the matrix
//   node integration/run.mjs next 'pnpm turbopack start,bare'     some variants of Next.js
//   node integration/run.mjs matrix hono --sdk=5.0.0-beta.55      with another version of the SDK
//
// HOOKLINE_KEEP_APPS=1 leaves the apps where they are, to look at.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pack } from '../scripts/pack.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const [chosen = '', variant = ''] = process.argv
  .slice(2)
  .filter((argument) => !argument.startsWith('--'));

const isFull = process.argv.includes('--full');
/** What runs only by its name, or with all the others. */
const LONG = ['eve-image.test.mjs', 'eve-upgrade.test.mjs'];
const isChosen = (name) => (chosen ? name.includes(chosen) : isFull || !LONG.includes(name));

const sdk = process.argv.find((argument) => argument.startsWith('--sdk='))?.slice('--sdk='.length);

const chromium = spawnSync('bash', [join(here, '..', 'scripts', 'install-chromium.sh')], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
if (chromium.status !== 0) process.exit(1);

const work = await mkdtemp(join(tmpdir(), 'hookline-apps-'));
const packages = await pack(join(work, 'packages'));
for (const { name, size, unpackedSize } of packages) {
  console.log(
    `${name}: ${(size / 1024).toFixed(0)} KiB packed, ${(unpackedSize / 1024).toFixed(0)} KiB unpacked`,
  );
}
const files = (await readdir(here)).filter((name) => name.endsWith('.test.mjs'));
const tests = spawn(
  process.execPath,
  [
    '--test',
    '--test-concurrency=2',
    '--test-reporter=spec',
    ...files.filter(isChosen).map((name) => join(here, name)),
  ],
  {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      HOOKLINE_APPS: work,
      HOOKLINE_PACKAGES: JSON.stringify(Object.fromEntries(packages.map((p) => [p.name, p.file]))),
      HOOKLINE_VARIANT: variant,
      HOOKLINE_SDK: sdk,
      HOOKLINE_FULL: isFull ? '1' : '',
    },
  },
);
tests.on('exit', async (code) => {
  if (process.env.HOOKLINE_KEEP_APPS) console.log(`The apps are in ${work}`);
  else await rm(work, { recursive: true, force: true });
  process.exitCode = code ?? 1;
});
