// The packed tarballs beside versions of the SDK, as npm and pnpm install them.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { newFolder, program } from './apps.mjs';

const tarballs = Object.values(JSON.parse(process.env.HOOKLINE_PACKAGES));

/** Older than what each line of the SDK needs. */
const UNSUPPORTED = ['4.2.0', '5.0.0-beta.53'];

/** The first supported version of each line. */
const SUPPORTED = ['4.8.9', '5.0.0-beta.55'];

/** How an app meets its World: by the SDK's runtime, by the function that it calls, by its worker. */
const USES = `
  const ways = {
    runtime: async () => (await (await import('workflow/runtime')).getWorld()).specVersion,
    function: () => require('hookline').resumeHook('nobody', {}),
    worker: async () => (await (await import('workflow/runtime')).getWorld()).start(),
    next: async () => require('hookline/next').withHookline({}),
  };
  (async () => {
    for (const [way, use] of Object.entries(ways)) {
      console.log(JSON.stringify([way, await use().then(String, (error) => error.message)]));
    }
  })();`;

async function newApp() {
  const app = await newFolder('sdk');
  await writeFile(join(app, 'package.json'), '{ "private": true }');
  return app;
}

const npm = (app, version, ...options) => {
  const args = ['install', '--no-audit', '--no-fund', '--prefer-offline', ...options];
  return program(app, 'npm', [...args, `workflow@${version}`, ...tarballs]);
};

const specVersion = (app) => {
  const script =
    "import('workflow/runtime').then(async (it) => console.log((await it.getWorld()).specVersion))";
  const env = { WORKFLOW_TARGET_WORLD: 'hookline' };
  return program(app, process.execPath, ['-e', script], undefined, env);
};

describe('supported versions of workflow', () => {
  test('npm takes them, and each meets its World', async () => {
    const app = await newApp();
    for (const version of SUPPORTED) {
      await npm(app, version);
      assert.match(await specVersion(app), /^\d+\n$/, version);
    }
  });
});

for (const version of UNSUPPORTED) {
  describe(`workflow ${version}`, () => {
    test('npm refuses it, and says what it wants', async () => {
      const installed = npm(await newApp(), version);
      const range = /ERESOLVE.*workflow@"\^4\.8\.9 \|\| \^5\.0\.0-beta\.55" from hookline/s;
      await assert.rejects(installed, range);
    });

    test('forced, every use is refused by one error that says what to install', async () => {
      const app = await newApp();
      await npm(app, version, '--force');
      const env = { WORKFLOW_TARGET_WORLD: 'hookline' };
      const output = await program(app, process.execPath, ['-e', USES], undefined, env);
      const answers = output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      assert.equal(answers.length, 4);
      for (const [way, answer] of answers) {
        assert.ok(answer.startsWith(`workflow ${version} in ${app}`), `${way}: ${answer}`);
        assert.match(answer, /works with 4\.8\.9 and later 4\.x.*npm install workflow@4/);
      }
    });
  });
}
