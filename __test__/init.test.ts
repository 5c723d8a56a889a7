/** `npx hookline init` in real folders. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hookline } from './command-line';
import type { Files } from './init/planning';
import { STARTERS } from './init/starters';
import { cleanUp, newFolder } from './support';

afterAll(cleanUp);

const APP = STARTERS['create-next-app'];
/** The same app, with what would have to be installed. */
const INSTALLED = {
  ...APP,
  'package.json': APP['package.json'].replace(
    '"next":',
    '"hookline": "*",\n    "workflow": "*",\n    "next":',
  ),
};

function newApp(files: Files): string {
  const folder = newFolder();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

function filesIn(folder: string): Files {
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(
    paths.map((path) => [path.slice(folder.length + 1), readFileSync(path, 'utf8')]),
  );
}

const init = (cwd: string, args: string[] = [], env: Record<string, string> = {}) =>
  hookline(['init', ...args], { cwd, env });

test('a dry run shows the changes and what it would install, and changes nothing', async () => {
  const app = newApp(APP);
  const { code, stdout } = await init(app, ['--dry-run']);
  expect(code).toBe(0);
  expect(stdout).toContain('Next.js in ');
  expect(stdout).toContain('change next.config.ts');
  expect(stdout).toContain('+export default withWorkflow(withHookline(nextConfig));');
  expect(stdout).toContain('new instrumentation.ts');
  expect(stdout).toMatch(/run npm i hookline@\d+\.\d+\.\d+ workflow@4/);
  expect(stdout).toContain('Nothing was changed.');
  expect(filesIn(app)).toEqual(APP);
});

test('--yes makes the changes; a second run has nothing to do', async () => {
  const app = newApp(INSTALLED);
  expect(await init(app, ['--yes'])).toMatchObject({ code: 0 });
  const after = filesIn(app);
  expect(after['instrumentation.ts']).toBe("export { register } from 'hookline/next';\n");
  expect(after['package.json']).toBe(INSTALLED['package.json']);
  const { code, stdout } = await init(app, ['--yes']);
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: expect.stringContaining('Next.js: nothing to do.'),
  });
  expect(filesIn(app)).toEqual(after);
});

test('where nobody can be asked, it changes nothing and says how to go on', async () => {
  const app = newApp(INSTALLED);
  const { code, stderr } = await init(app);
  expect(code).toBe(2);
  expect(stderr).toContain('Pass --yes to make the changes, or --dry-run.');
  expect(filesIn(app)).toEqual(INSTALLED);
});

test('--json answers with the changes as patches, and with the commands', async () => {
  const app = newApp(APP);
  const { code, stdout } = await init(app, ['--dry-run', '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    framework: 'Next.js',
    changed: false,
    changes: [{ path: '.gitignore' }, { path: 'instrumentation.ts' }, { path: 'next.config.ts' }],
    commands: [expect.stringMatching(/^npm i hookline@/)],
    byHand: [],
  });
});

test('what cannot be edited stays as it is, is written out, and makes the exit code 4', async () => {
  const config = 'export default class {}\n';
  const app = newApp({ ...INSTALLED, 'next.config.ts': config });
  const { code, stdout } = await init(app, ['--yes']);
  expect(code).toBe(4);
  expect(stdout).toContain('by hand next.config.ts: ');
  expect(stdout).toContain('  export default withWorkflow(withHookline(nextConfig));');
  const after = filesIn(app);
  expect(after['next.config.ts']).toBe(config);
  expect(after['instrumentation.ts']).toBeDefined();
});

test('the other variables of a file that is corrected are not shown', async () => {
  const env = 'SECRET=s3cret\nWORKFLOW_TARGET_WORLD=local\nTOKEN=t0ken\n';
  const app = newApp({ ...INSTALLED, '.env': env });
  const { stdout } = await init(app, ['--dry-run']);
  expect(stdout).toContain('+WORKFLOW_TARGET_WORLD=hookline');
  expect(stdout).not.toMatch(/s3cret|t0ken/);
});

test('an installation that fails is the error, with the command to run', async () => {
  const app = newApp(APP);
  const offline = { npm_config_offline: 'true', npm_config_cache: newFolder() };
  const { code, stderr } = await init(app, ['--yes'], offline);
  expect(code).toBe(1);
  expect(stderr).toMatch(/The files are changed, but this failed \(1\)\. Run it yourself: npm i /);
});

test.each([
  ['pnpm-lock.yaml', 'pnpm add '],
  ['yarn.lock', 'yarn add '],
  ['bun.lock', 'bun add '],
  ['package-lock.json', 'npm i '],
])('a project with %s is installed with its own package manager', async (lock, command) => {
  const app = newApp({ ...APP, [lock]: '' });
  const { stdout } = await init(app, ['--dry-run', '--json']);
  expect(JSON.parse(stdout).commands[0]).toMatch(new RegExp(`^${command}hookline@`));
});

test.each([
  ['without a package.json', {}, 'There is no package.json: '],
  ['with one that is no JSON', { 'package.json': '{' }, 'package.json is no JSON object: '],
  ['of a workspace', { 'package.json': '{ "workspaces": ["apps/*"] }' }, 'holds a workspace'],
])('a folder %s is refused', async (_what, files, message) => {
  const app = newApp(files as Files);
  const answer = await init(app, ['--yes']);
  expect(answer).toMatchObject({ code: 3, stderr: expect.stringContaining(message) });
  expect(filesIn(app)).toEqual(files);
});
