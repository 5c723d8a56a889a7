import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, runNode } from './support';

const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');

test('the documented examples compile under --strict, without the SDK and without Node types', async () => {
  const ended = await runNode([TSC, '-p', join(ROOT, '__test__', 'types', 'tsconfig.json')]);
  expect(ended).toMatchObject({ code: 0, stdout: '' });
}, 60_000);

test('every value that index.d.ts declares is exported, and the reverse', () => {
  const declarations = readFileSync(join(ROOT, 'index.d.ts'), 'utf8');
  const found = declarations.matchAll(/^export (?:function|class|const) (\w+)/gm);
  // An overload is the same value again.
  const declared = [...new Set([...found].map(([, name]) => name))];
  const exported = Object.keys(require('hookline')).filter((name) => name !== 'default');
  expect(declared.sort()).toEqual(exported.sort());
});

test('every value that testing.d.ts declares is exported, and the reverse', () => {
  const declarations = readFileSync(join(ROOT, 'testing.d.ts'), 'utf8');
  const declared = [...declarations.matchAll(/^export (?:function|class) (\w+)/gm)];
  const exported = Object.keys(require(join(ROOT, 'dist', 'testing.js')));
  expect(declared.map(([, name]) => name)).toEqual(exported);
});

test.each(['vitest', 'jest'])('every value that %s.d.ts declares is exported', (runner) => {
  const declarations = readFileSync(join(ROOT, `${runner}.d.ts`), 'utf8');
  const functions = [...declarations.matchAll(/^export function (\w+)/gm)].map(([, name]) => name);
  const again = /^export \{ (.+) \} from/m.exec(declarations)?.[1]?.split(', ') ?? [];
  const declared = [...functions, ...again.filter((name) => !name.startsWith('type '))];
  const module = readFileSync(join(ROOT, 'dist', `${runner}.mjs`), 'utf8');
  expect(/^export \{ (.+) \}/.exec(module)?.[1]?.split(', ')).toEqual(declared.sort());
});

test('every documented example is here', () => {
  expect(readdirSync(join(ROOT, '__test__', 'types', 'samples')).sort()).toEqual([
    'basic-route.ts',
    'hook-object.ts',
    'log-and-resume.ts',
    'server-action.ts',
    'typed-payload.ts',
  ]);
});
