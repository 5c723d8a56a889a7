/** The blocks of docs/frameworks.md are files of the apps that `npm run test:apps` runs. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './support';

interface Framework {
  title: string;
  folders?: string[];
  tested?: Record<string, string>;
}

const { FRAMEWORKS, SDK } = require('../integration/frameworks.mjs') as {
  FRAMEWORKS: Record<string, Framework>;
  SDK: string;
};
const { NODES } = require('../integration/apps.mjs') as { NODES: string[] };
const MATRIX = join(ROOT, 'integration', 'matrix');
const [introduction = '', ...parts] = readFileSync(
  join(ROOT, 'docs', 'frameworks.md'),
  'utf8',
).split('\n## ');
/** The sections, by title. */
const sections = new Map(parts.map((part) => [part.split('\n', 1)[0], part]));
const titles = [...new Set(Object.values(FRAMEWORKS).map(({ title }) => title))];

/** The files that a section shows, named in their first lines. */
function shown(title: string): { path: string; text: string }[] {
  const blocks = (sections.get(title) ?? '').matchAll(/^```\w+\n\/\/ (\S+)\n(.*?)^```$/gms);
  return [...blocks].map(([, path = '', text = '']) => ({ path, text }));
}

/** The folders of a framework's app; of several versions, those of the first. */
function foldersOf(title: string): string[] {
  const isIt = ([, framework]: [string, Framework]) => framework.title === title;
  const [name, { folders = [name] }] = Object.entries(FRAMEWORKS).find(isIt) as [string, Framework];
  return folders;
}

/** The file of an app with this path; its later folders replace files of the earlier ones. */
function fileIn(folders: string[], path: string): string | undefined {
  const found = folders.map((folder) => join(MATRIX, folder, path)).findLast(existsSync);
  return found && readFileSync(found, 'utf8');
}

test('the app of every section is the one that is run', () => {
  const files = shown('The app');
  expect(files.map(({ path }) => path)).toEqual(['workflows/approval.ts', 'approvals.ts']);
  for (const { path, text } of files) expect(fileIn(['shared'], path)).toBe(text);
});

test.each(titles)('what is shown for %s is what is run', (title) => {
  const files = shown(title);
  expect(files.length).toBeGreaterThan(0);
  const folders = foldersOf(title);
  for (const { path, text } of files) {
    expect({ path, text: fileIn(folders, path) }).toEqual({ path, text });
  }
});

test('every framework has a row in the table, with the versions that the matrix installs', () => {
  const rows = [...introduction.matchAll(/^\| \[(.+?)\]\(#.*\| (.+) \|$/gm)];
  const cells = rows.map(([, title, cell = '']) => [title, cell.replace(/, with .*/, '')]);
  const installed = titles.map((title) => [title, versionsOf(title).join(', ')]);
  expect(cells.sort()).toEqual(installed.sort());
  expect(introduction).toContain(`tested with SDK ${SDK}`);
});

/** The versions of a framework that the matrix installs, in order. */
function versionsOf(title: string): string[] {
  const entries = Object.values(FRAMEWORKS).filter((framework) => framework.title === title);
  const versions = entries.flatMap(({ tested }) => (tested ? Object.values(tested) : NODES));
  return versions.sort((one, other) => one.localeCompare(other, 'en', { numeric: true }));
}
