/** The package can replace `workflow/api`: it exports everything that `workflow/api` exports. */

import { readFileSync } from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import { join } from 'node:path';
import * as hookline from 'hookline';
import { ROOT, runNode } from './support';

const load = createRequire(__filename);

test('everything that workflow/api exports is exported, of the same kind', async () => {
  const script = `
    import * as api from 'workflow/api';
    const kinds = Object.entries(api).map(([name, value]) => [name, typeof value]);
    console.log(JSON.stringify(Object.fromEntries(kinds)));
  `;
  const { stdout } = await runNode(['--input-type=module', '-e', script]);
  const api = JSON.parse(stdout) as Record<string, string>;
  expect(Object.keys(api)).toContain('resumeHook');
  const ours = hookline as Record<string, unknown>;
  const kinds = Object.keys(api).map((name) => [name, typeof ours[name]]);
  expect(Object.fromEntries(kinds)).toEqual(api);
  expect(hookline.runStep()).toBeUndefined();
});

test.each([
  ['workflow code', 'workflow.js', 'cannot run inside a workflow'],
  ['code without Node', 'no-node.js', 'cannot run here. hookline runs in Node.js'],
])('what %s gets has the same exports, and needs no Node', (_what, file, message) => {
  const path = join(ROOT, 'dist', file);
  const stub = load(path) as Record<string, () => unknown> & { Run: new () => unknown };
  expect(Object.keys(stub).sort()).toEqual(Object.keys(hookline).sort());
  expect(() => stub.resumeHook?.()).toThrow(`resumeHook() of hookline ${message}`);
  expect(() => new stub.Run()).toThrow(`new Run() of hookline ${message}`);
  const text = readFileSync(path, 'utf8');
  const required = [...text.matchAll(/require\(\s*['"]([^'"]+)['"]\s*\)/g)].map(([, id]) => id);
  expect(required.filter((id) => builtinModules.includes(id?.replace('node:', '') ?? ''))).toEqual(
    [],
  );
});
