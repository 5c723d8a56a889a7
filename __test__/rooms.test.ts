/**
 * The rooms of `ts/`: which room may import which. `npm run lint` checks that no files import each
 * other in a circle.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { loadModule, ROOT } from './support';

const TS = join(ROOT, 'ts');
const { LINES } = loadModule<typeof import('../ts/lines/table')>('ts/lines/table.ts');

/** For each room, the rooms that its files may import. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  native: [],
  lines: ['native'],
  setup: ['native', 'lines'],
  engine: ['native', 'lines', 'setup'],
  world: ['native', 'lines', 'setup', 'engine'],
  api: ['native', 'lines', 'setup', 'engine', 'world'],
  import: ['native', 'engine', 'world'],
  testing: ['native', 'lines', 'setup', 'engine', 'world', 'api'],
  runners: ['lines', 'setup', 'world', 'testing'],
  init: [],
  cli: ['native', 'lines', 'setup', 'engine', 'world', 'import', 'init'],
};

/**
 * The entry with all exports of the package: only programs with a bundle of their own import it.
 */
const ENTRIES: Readonly<Record<string, readonly string[]>> = {
  index: ['testing', 'runners', 'cli'],
};

/** `[file, imported file]`, both from `ts/`, without their endings. */
function imports(): [string, string][] {
  const files = readdirSync(TS, { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const text = readFileSync(join(TS, file), 'utf8');
      const specifiers = [...text.matchAll(/(?:from|import|import\(|require\() ?'(\.[^']+)'/g)];
      return specifiers.map(([, specifier]): [string, string] => [
        file.split(sep).join('/'),
        relative(TS, join(TS, file, '..', specifier as string))
          .split(sep)
          .join('/'),
      ]);
    });
}

const roomOf = (path: string) => (path.includes('/') ? (path.split('/')[0] as string) : undefined);

test('a room imports only the rooms below it', () => {
  const found = imports();
  expect(found.length).toBeGreaterThan(100);
  const forbidden = found.filter(([file, imported]) => {
    const from = roomOf(file);
    // The public declarations, and the entries of the package, belong to no room.
    if (!from || imported.startsWith('..')) return false;
    const to = roomOf(imported);
    if (!to) return !ENTRIES[imported]?.includes(from);
    return from !== to && !BELOW[from]?.includes(to);
  });
  expect(forbidden).toEqual([]);
});

test('only the table knows the lines, and no line knows another', () => {
  const isOfLine = (path: string) => /^lines\/\d/.test(path);
  const lineOf = (path: string) => path.split('/')[1];
  const forbidden = imports().filter(([file, imported]) => {
    if (!isOfLine(imported) || file === 'lines/table.ts') return false;
    return !isOfLine(file) || lineOf(file) !== lineOf(imported);
  });
  expect(forbidden).toEqual([]);
});

test('every line has an entry in the table', () => {
  const folders = readdirSync(join(TS, 'lines'), { withFileTypes: true })
    .filter((it) => it.isDirectory() && /^\d/.test(it.name))
    .map(({ name }) => Number(name));
  expect(folders.sort()).toEqual(LINES.map(({ major }) => major).sort());
});

test('outside of the rooms there are only the entries of the package', () => {
  const entries = readdirSync(TS, { withFileTypes: true });
  expect(entries.filter((it) => it.isFile()).map(({ name }) => name)).toEqual([
    'index.ts',
    'no-node.ts',
    'workflow.ts',
  ]);
  expect(entries.filter((it) => it.isDirectory()).map(({ name }) => name)).toEqual(
    Object.keys(BELOW).sort(),
  );
});
