import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, newFolder, ROOT, runNode } from './support';

const readJson = (...path: string[]) => JSON.parse(readFileSync(join(...path), 'utf8'));
const manifest = readJson(ROOT, 'package.json');
const PLATFORMS = readdirSync(join(ROOT, 'npm')).sort();

/** The platform of this machine, by the name of what was built on it. */
const BUILT = readdirSync(join(ROOT, 'native'))
  .find((name) => name.endsWith('.node'))
  ?.split('.')[1] as string;

let packages: string;
const tarball = (name: string) => join(packages, `${name}-${manifest.version}.tgz`);
const extract = (name: string, to: string) => {
  mkdirSync(to, { recursive: true });
  execFileSync('tar', ['xzf', tarball(name), '-C', to, '--strip-components', '1']);
};

beforeAll(async () => {
  packages = newFolder();
  const ended = await runNode([join(ROOT, 'scripts', 'pack.mjs'), packages]);
  expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: '' });
  for (const line of ended.stdout.trimEnd().split('\n'))
    process.stdout.write(`${line.split('  /')[0]}\n`);
}, 60_000);
afterAll(cleanUp);

test.each([
  ['publint', 'publint/src/cli.js', '--strict'],
  [
    'attw',
    '@arethetypeswrong/cli/dist/index.js',
    '--profile=node16',
    '--exclude-entrypoints=./binding',
  ],
])(
  '%s finds nothing wrong with the package',
  async (_name, script, ...options) => {
    const cli = join(ROOT, 'node_modules', script);
    const ended = await runNode([cli, tarball('hookline'), ...options]);
    expect({ code: ended.code, output: ended.stdout + ended.stderr }).toMatchObject({ code: 0 });
  },
  60_000,
);

test('the package holds what is listed and nothing that only a clone needs', () => {
  const folder = newFolder();
  extract('hookline', folder);
  const listed = manifest.files.map((file: string) => file.split('/')[0]);
  expect(readdirSync(folder).sort()).toEqual([...new Set([...listed, 'package.json'])].sort());
  expect(readdirSync(join(folder, 'native'))).toEqual(['binding.js']);
  const packed = readJson(folder, 'package.json');
  expect(packed).not.toHaveProperty('scripts');
  expect(packed).not.toHaveProperty('devDependencies');
  expect(packed).not.toHaveProperty('dependencies');
  expect(packed.optionalDependencies).toEqual({ [`hookline-${BUILT}`]: manifest.version });
});

test('a platform package holds its binary and nothing else to run', () => {
  const folder = newFolder();
  extract(`hookline-${BUILT}`, folder);
  const binary = `hookline.${BUILT}.node`;
  expect(readdirSync(folder).sort()).toEqual(['LICENSE', 'README.md', binary, 'package.json']);
});

test('every target has a platform package, and the loader’s advice knows it', async () => {
  expect(PLATFORMS).toHaveLength(manifest.napi.targets.length);
  for (const platform of PLATFORMS) {
    const { name, main } = readJson(ROOT, 'npm', platform, 'package.json');
    expect({ name, main }).toEqual({
      name: `hookline-${platform}`,
      main: `hookline.${platform}.node`,
    });
  }
  const source = readFileSync(join(ROOT, 'ts', 'addon-missing.ts'), 'utf8');
  const known = [...source.matchAll(/^ {2}'([\w-]+)',$/gm)].map(([, platform]) => platform);
  expect(known).toEqual(PLATFORMS);
});

test('all parts have one version', () => {
  const versions = PLATFORMS.map((platform) => readJson(ROOT, 'npm', platform, 'package.json'));
  expect(new Set(versions.map(({ version }) => version))).toEqual(new Set([manifest.version]));
  const cargo = readFileSync(join(ROOT, 'Cargo.toml'), 'utf8');
  expect(/^version = "(.+)"$/m.exec(cargo)?.[1]).toBe(manifest.version);
});

describe('installed', () => {
  const script = `
    import('hookline').then(({ getHookByToken }) => getHookByToken('nobody')).catch((error) => {
      console.log(JSON.stringify({ name: error.name, code: error.code, message: error.message }));
    });`;

  async function run(app: string) {
    const { stdout, stderr } = await runNode(['-e', script], {
      cwd: app,
      env: { ...process.env, WORKFLOW_HOOKLINE_URL: join(app, 'test.db') },
    });
    expect(stderr).toBe('');
    return JSON.parse(stdout);
  }

  test('with its platform package it works', async () => {
    const app = newFolder();
    extract('hookline', join(app, 'node_modules', 'hookline'));
    extract(`hookline-${BUILT}`, join(app, 'node_modules', `hookline-${BUILT}`));
    expect(await run(app)).toMatchObject({ name: 'HookNotFoundError' });
  });

  test('without it the error names the missing package and the way to build', async () => {
    const app = newFolder();
    extract('hookline', join(app, 'node_modules', 'hookline'));
    const { message, ...error } = await run(app);
    expect(error).toEqual({ name: 'WorkflowWorldError', code: 'NO_ADDON' });
    expect(message).toContain(`Its package is hookline-${BUILT}, an optional dependency`);
    expect(message).toContain('scripts/build-from-source.mjs');
    expect(message).not.toContain('\n');
  });

  test('with a platform package of another version the error says both versions', async () => {
    const app = newFolder();
    const installed = join(app, 'node_modules', 'hookline');
    extract('hookline', installed);
    extract(`hookline-${BUILT}`, join(app, 'node_modules', `hookline-${BUILT}`));
    const entry = join(installed, 'dist', 'index.js');
    const text = readFileSync(entry, 'utf8');
    const newer = text.replace(`"${manifest.version}"`, '"999.0.0"');
    expect(newer).not.toBe(text);
    writeFileSync(entry, newer);
    expect(await run(app)).toMatchObject({
      code: 'NO_ADDON',
      message: expect.stringContaining(
        `version ${manifest.version}, and this package is version 999.0.0`,
      ),
    });
  });
});
