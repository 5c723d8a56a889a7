// The packed tarballs beside versions of the SDK that are not supported, as npm installs them.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { newFolder, program } from './apps.mjs';

const tarballs = Object.values(JSON.parse(process.env.HOOKLINE_PACKAGES));

/** Old, and of the next line. */
const VERSIONS = ['4.2.0', '5.0.0-beta.55'];

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

for (const version of VERSIONS) {
  describe(`workflow ${version}`, () => {
    const install = async (...options) => {
      const app = await newFolder('sdk');
      await writeFile(join(app, 'package.json'), '{ "private": true }');
      const args = ['install', '--no-audit', '--no-fund', '--prefer-offline', ...options];
      return { app, installed: program(app, 'npm', [...args, `workflow@${version}`, ...tarballs]) };
    };

    test('npm refuses it, and says what it wants', async () => {
      const { installed } = await install();
      await assert.rejects(installed, /ERESOLVE.*workflow@"\^4\.8\.9" from hookline/s);
    });

    test('forced, every use is refused by one error that says what to install', async () => {
      const { app, installed } = await install('--force');
      await installed;
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
