// `hookline/testing` under Jest as a Next.js app has it: `next/jest`, nothing else configured.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cleanEnvironment, newFolder, program } from './apps.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const tarballs = JSON.parse(process.env.HOOKLINE_PACKAGES ?? '{}');

test("the user's test of a route handler passes under next/jest", async () => {
  const app = await newFolder('next-jest');
  await cp(join(here, 'next-jest'), app, { recursive: true });
  const packages = Object.entries(tarballs).map(([name, file]) => [name, `file:${file}`]);
  const dependencies = {
    ...Object.fromEntries(packages),
    next: '16.4.6',
    react: '19.3.0',
    'react-dom': '19.3.0',
    jest: '30.5.2',
  };
  await writeFile(join(app, 'package.json'), JSON.stringify({ private: true, dependencies }));
  await program(app, 'npm', ['install', '--no-audit', '--no-fund', '--prefer-offline']);
  const jest = join(app, 'node_modules', 'jest', 'bin', 'jest.js');
  const { status, stderr } = spawnSync(process.execPath, [jest], {
    cwd: app,
    env: cleanEnvironment(),
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  assert.match(stderr, /Tests: +2 passed, 2 total/);
});
