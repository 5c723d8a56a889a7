// Every framework: a fresh app is built and served, killed while a run waits, and served again.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { bun, deno, isFull, NODES, nodeOf } from './apps.mjs';
import { FRAMEWORKS, SDK } from './frameworks.mjs';
import { MatrixApp } from './matrix.mjs';

const only = process.env.HOOKLINE_VARIANT?.split(',').filter(Boolean) ?? [];
const chosen = Object.entries(FRAMEWORKS).filter(([name, { elsewhere }]) =>
  only.length > 0 ? only.includes(name) : isFull || !elsewhere,
);

for (const [name, framework] of chosen) {
  describe(name, () => {
    let app;
    before(async () => {
      app = await MatrixApp.make(name, framework);
    });

    test('the versions are those of docs/frameworks.md', async () => {
      for (const [name, version] of Object.entries({ workflow: SDK, ...framework.tested })) {
        const installed = await app.versionOf(name);
        assert.ok(`${installed}.`.startsWith(`${version}.`), `${name} ${installed}`);
      }
    });

    describe('built, with the start line', () => {
      let start;
      before(async () => {
        start = await app.withStartLine().then(() => app.built());
      });

      test('killed, it goes on without any request', () => app.goesOnByItself(start));

      if (!isFull) return;
      for (const version of NODES.filter((version) => version >= (framework.node ?? '0'))) {
        test(`so it does on Node ${version}`, async () =>
          app.goesOnByItself(start, await nodeOf(version)));
      }
      const onBun = { skip: framework.failsOnBun };
      test('so it does on Bun', onBun, async () => app.goesOnByItself(start, await bun()));
      test('so it does on Deno', async () =>
        app.goesOnByItself(['run', '--allow-all', ...start], await deno()));
    });

    if (!isFull) return;
    const alone = { skip: framework.failsAlone };
    test('built, with the variable alone: killed, it goes on at the first use', alone, async () => {
      await app.withVariableAlone();
      await app.goesOnAtFirstUse(await app.built(), { warns: true });
    });
    const develops = { skip: framework.dev ? false : 'it has no development server' };
    test('in development, with the start line: killed, it goes on', develops, async () => {
      await app.withStartLine();
      await app.goesOnAtFirstUse(framework.dev, { warns: framework.lineInDevelopment === false });
    });
    test('in development, with the variable alone: the same', develops, async () => {
      await app.withVariableAlone();
      await app.goesOnAtFirstUse(framework.dev, { warns: true });
    });
    test('built in a workspace of pnpm: killed, it goes on', async () => {
      const other = await MatrixApp.make(name, framework, 'pnpm');
      await other.goesOnByItself(await other.built());
    });
  });
}
