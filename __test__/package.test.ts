import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUILT, extract, packAll, tarball } from './packed';
import { cleanUp, newFolder, ROOT, runNode } from './support';

const readJson = (...path: string[]) => JSON.parse(readFileSync(join(...path), 'utf8'));
const manifest = readJson(ROOT, 'package.json');
const PLATFORMS = readdirSync(join(ROOT, 'npm')).sort();

beforeAll(async () => {
  for (const line of await packAll()) process.stdout.write(`${line.split('  /')[0]}\n`);
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
