import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, newFolder, ROOT, runNode } from './support';

afterAll(cleanUp);

const TSC = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');

test('the documented examples compile under --strict, without the SDK and without Node types', async () => {
  const ended = await runNode([TSC, '-p', join(ROOT, '__test__', 'types', 'tsconfig.json')]);
  expect(ended).toMatchObject({ code: 0, stdout: '' });
}, 60_000);

/** The options of a strict user, whose compiler finds packages as it finds them on disk. */
const STRICT = {
  target: 'ES2022',
  lib: ['ES2023', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'],
  module: 'nodenext',
  types: ['node'],
  strict: true,
  noEmit: true,
  skipLibCheck: true,
};

test.each([
  ['4', 'workflow'],
  ['5', 'workflow-5'],
])(
  'the documented examples compile under --strict beside workflow %s, as its own functions do',
  async (line, sdk) => {
    const app = newFolder();
    const linked = (name: string, to: string) =>
      symlinkSync(join(ROOT, to), join(app, 'node_modules', name), 'junction');
    mkdirSync(join(app, 'node_modules/@types'), { recursive: true });
    linked('workflow', `node_modules/${sdk}`);
    linked('hookline', '.');
    linked('@types/node', 'node_modules/@types/node');
    for (const folder of ['samples', 'installed']) {
      cpSync(join(ROOT, '__test__/types', folder), join(app, folder), { recursive: true });
    }
    writeFileSync(join(app, 'package.json'), '{ "type": "module" }');
    const files = ['samples/*.ts', 'installed/sdk.ts', 'installed/approval.ts'];
    const include = [...files, `installed/only-${line}.ts`];
    writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions: STRICT, include }));
    expect(await runNode([TSC, '-p', app])).toMatchObject({ code: 0, stdout: '' });
  },
  60_000,
);

test('every value that index.d.ts declares is exported, and the reverse', () => {
  const files = ['index.d.ts', 'runs.d.ts', 'errors.d.ts'];
  const declarations = files.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('\n');
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
