// The tests of an app as its author writes them: with the SDK's own Vitest plugin and with ours, under
// Vitest 3 and 4 and under Jest, whatever package manager installed them.

import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { installManifest, newFolder, program } from './apps.mjs';

const suites = join(
  dirname(fileURLToPath(import.meta.url)),
  ...['..', '__test__', 'runners', 'workflows'],
);
const WORKFLOW = '4.8.9';
const RUN_LIMIT_MS = 120_000;

/** The suites of the repository, in an app of their own. */
async function newApp(manager, packages) {
  const app = await newFolder(`testing-${manager}`);
  await cp(suites, app, { recursive: true });
  const dependencies = { workflow: WORKFLOW, ms: '2.1.3', ...packages };
  await installManifest(app, manager, { private: true, dependencies });
  return app;
}

/** Where the suites of the app get their helpers from. */
async function helpersFrom(app, module, names = 'testWorld, waitForHook, waitForSleep') {
  for (const suite of ['story', 'world']) {
    await writeFile(join(app, suite, 'helpers.ts'), `export { ${names} } from '${module}';\n`);
  }
}

const vitest = (app, args = [], env = {}) =>
  program(app, 'npx', ['vitest', 'run', ...args], RUN_LIMIT_MS, env);

describe('in an app with Vitest 4 and the plugin of the SDK, by npm', () => {
  let app;
  before(async () => {
    app = await newApp('npm', { vitest: '4.1.12', '@workflow/vitest': '4.0.25' });
    const config = `
      import { workflow } from '@workflow/vitest';
      import { defineConfig } from 'vitest/config';
      export default defineConfig({
        plugins: [workflow()],
        test: { globals: true, testTimeout: 30_000, include: ['story/*.suite.ts'] },
      });`;
    await writeFile(join(app, 'vitest.sdk.config.mjs'), config);
  });

  for (const [when, env] of [
    ['with nothing set', {}],
    ['with the variable set', { WORKFLOW_TARGET_WORLD: 'hookline' }],
  ]) {
    test(`the story is the same by the SDK's functions and by ours, ${when}`, async () => {
      await helpersFrom(app, '@workflow/vitest', 'waitForHook, waitForSleep');
      const output = await vitest(app, ['--config', 'vitest.sdk.config.mjs'], env);
      assert.match(output, /Tests .*10 passed/);
    });
  }

  test('it is the same under our plugin, which can do more', async () => {
    await helpersFrom(app, 'hookline/vitest');
    assert.match(await vitest(app), /Tests .*18 passed/);
  });
});

describe('in an app with Vitest 3 and Jest, by pnpm', () => {
  let app;
  before(async () => {
    app = await newApp('pnpm', {
      vitest: '3.2.4',
      jest: '30.5.2',
      '@swc/core': '1.15.3',
      '@swc/jest': '0.2.39',
    });
  });

  test('the tests pass under Vitest', async () => {
    await helpersFrom(app, 'hookline/vitest');
    assert.match(await vitest(app), /Tests .*18 passed/);
  });

  test('the tests pass under Jest', async () => {
    await helpersFrom(app, 'hookline/jest');
    const output = await program(app, 'bash', ['-c', 'npx jest 2>&1'], RUN_LIMIT_MS);
    assert.match(output, /Tests: +18 passed, 18 total/);
  });
});
