/** The variables of this package: documented ones, and those that it does not have. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findings } from './command-line';
import { childEnv, cleanUp, loadModule, newDatabase, newFolder, ROOT, runNode } from './support';

const { VARIABLES } = loadModule<typeof import('../ts/engine/variables')>('ts/engine/variables.ts');
const read = (...path: string[]) => readFileSync(join(ROOT, ...path), 'utf8');
const namesIn = (text: string) => new Set(text.match(/WORKFLOW_HOOKLINE_[A-Z_]*[A-Z]\b/g));

afterAll(cleanUp);

test('every variable is in the README’s table, and none else', () => {
  const rows = read('README.md').matchAll(/^\| `(WORKFLOW_HOOKLINE_\w+)` \|/gm);
  expect([...rows].map(([, name]) => name).sort()).toEqual([...VARIABLES].sort());
});

test('the code names no other', () => {
  const files = readdirSync(join(ROOT, 'ts'), { recursive: true, encoding: 'utf8' });
  const sources = files.filter((file) => file.endsWith('.ts')).map((file) => read('ts', file));
  expect([...namesIn(sources.join('\n'))].sort()).toEqual([...VARIABLES].sort());
});

describe('a variable that begins as they do, and is not among them,', () => {
  const env = childEnv({
    PORT: '',
    WORKFLOW_HOOKLINE_URL: newDatabase(),
    WORKFLOW_HOOKLINE_DURABLITY: 'normal',
    WORKFLOW_HOOKLINE_BASEURL: 'http://localhost',
    WORKFLOW_HOOKLINE_FROBNICATE: '1',
  });

  test('is warned of once in a process, with the one that may be meant', async () => {
    const code = `
      const { createWorld } = require('hookline');
      const said = [];
      process.on('warning', ({ name, code, message }) => said.push([name, code, message]));
      (async () => {
        for (let n = 0; n < 2; n += 1) {
          const world = createWorld();
          await world.closeStream('s', 'r');
          await world.close();
        }
        setImmediate(() => console.log(JSON.stringify(said)));
      })();`;
    const { stdout } = await runNode(['-e', code], { cwd: ROOT, env });
    const said = JSON.parse(stdout) as string[][];
    expect(said.map(([name, code]) => [name, code])).toEqual(
      Array(3).fill(['HooklineWarning', 'HOOKLINE_VARIABLE']),
    );
    expect(said.map(([, , message]) => message).sort()).toEqual([
      'WORKFLOW_HOOKLINE_BASEURL is set, but hookline has no such variable. Is it WORKFLOW_HOOKLINE_BASE_URL?',
      'WORKFLOW_HOOKLINE_DURABLITY is set, but hookline has no such variable. Is it WORKFLOW_HOOKLINE_DURABILITY?',
      `WORKFLOW_HOOKLINE_FROBNICATE is set, but hookline has no such variable. There are ${VARIABLES.join(', ')}.`,
    ]);
  });

  test('is a warning of the doctor', async () => {
    const found = await findings([], { cwd: newFolder(), env });
    const ofVariables = found.filter(({ what }) => what === 'Variables');
    expect(ofVariables.map(({ state }) => state)).toEqual(Array(3).fill('warning'));
  });
});
