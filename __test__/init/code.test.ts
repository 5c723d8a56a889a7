/** Edits keep what is around them. */
import { Code } from '../../ts/init/code';
import { addName, configObject } from '../../ts/init/config';
import { startIn } from '../../ts/init/start-line';

function edited(text: string, edit: (code: Code) => void, path = 'a.ts'): string {
  const code = new Code(path, text);
  edit(code);
  return code.finish();
}

const addA = (text: string) =>
  edited(text, (code) => addName(code, configObject(code), 'list', 'a'));

test.each([
  ['an empty object', 'export default {};\n', "export default {\n  list: ['a'],\n};\n"],
  ['an empty list', 'export default { list: [] };\n', "export default { list: ['a'] };\n"],
  ['one line', "export default { list: ['b'] };\n", "export default { list: ['b', 'a'] };\n"],
  [
    'lines without a last comma',
    "export default {\n\tlist: [\n\t\t'b' // why\n\t]\n};\n",
    "export default {\n\tlist: [\n\t\t'b', // why\n\t\t'a'\n\t]\n};\n",
  ],
  [
    'lines with a last comma',
    "export default {\n    list: [\n        'b', // why\n    ],\n};\n",
    "export default {\n    list: [\n        'b', // why\n        'a',\n    ],\n};\n",
  ],
  [
    'an object with only a comment',
    'export default {\n  // nothing yet\n};\n',
    "export default {\n  // nothing yet\n  list: ['a'],\n};\n",
  ],
  [
    'a quoted name',
    "export default { 'list': ['b'] };\n",
    "export default { 'list': ['b', 'a'] };\n",
  ],
  [
    'a variable',
    "const list = ['b'];\nexport default { list };\n",
    "const list = ['b', 'a'];\nexport default { list };\n",
  ],
  [
    'a function that returns it',
    'export default defineConfig(({ mode }) => {\n  return { list: [mode] };\n});\n',
    "export default defineConfig(({ mode }) => {\n  return { list: [mode, 'a'] };\n});\n",
  ],
  [
    'Windows',
    "export default {\r\n  list: [\r\n    'b',\r\n  ],\r\n};\r\n",
    "export default {\r\n  list: [\r\n    'b',\r\n    'a',\r\n  ],\r\n};\r\n",
  ],
])('a list gets a name: %s', (_what, before, after) => expect(addA(before)).toBe(after));

test.each([["export default { list: ['a'] };\n"], ["export default { list: [['a', {}]] };\n"]])(
  '%j has the name',
  (text) => expect(addA(text)).toBe(text),
);

test.each([
  ['export default { ...base };\n', '...base may hold list'],
  ['export default { list: names() };\n', 'its list is not a plain list: names()'],
  ['export default { list() {} };\n', 'its list is a method'],
  ['export default make();\n', 'what it exports is not an object: make()'],
  ['export default () => { if (a) return {}; return {}; };\n', 'is not an object'],
  ['export const a = 1;\n', 'no `export default`'],
  ['export default {', 'cannot be parsed'],
])('%j is too unusual', (text, why) => expect(() => addA(text)).toThrow(why));

test.each([
  [
    'after a comment of the last one',
    "import b from 'b'; // why\n",
    "import b from 'b'; // why\nimport { a } from 'a';\n",
  ],
  ['before a comment', '/** B. */\nb();\n', "import { a } from 'a';\n\n/** B. */\nb();\n"],
  [
    'after a comment for the type checker',
    '// @ts-check\nb();\n',
    "// @ts-check\nimport { a } from 'a';\nb();\n",
  ],
  ['after a directive', "'use client';\nb();\n", "'use client';\n\nimport { a } from 'a';\nb();\n"],
])('an import is written %s', (_where, before, after) => {
  expect(edited(before, (code) => void code.import('a', 'a'))).toBe(after);
});

test('a name that is imported under another one is used by that', () => {
  const text = "import { a as b } from 'a';\n";
  expect(edited(text, (code) => expect(code.import('a', 'a')).toBe('b'))).toBe(text);
});

test('a type import is no import', () => {
  const text = "import type { a } from 'b';\n";
  expect(edited(text, (code) => void code.import('c', 'b'))).toBe(
    `${text}import { c } from 'b';\n`,
  );
});

test('without semicolons, the next line does not continue the added one', () => {
  const text = "import b from 'b'\nexport async function init() {\n  [1].map(b)\n}\n";
  const line = { exported: 'init', name: 'a', source: 'a', local: 'a', whenMissing: '' };
  expect(edited(text, (code) => startIn(code, line))).toBe(
    "import b from 'b'\nimport { a } from 'a'\nexport async function init() {\n  await a();\n  [1].map(b)\n}\n",
  );
});
