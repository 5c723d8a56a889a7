import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
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

test('each package names the repository that it is packed in, where there is one, and its guides lead there', async () => {
  const env = { ...process.env, GITHUB_REPOSITORY: 'somebody/hookline' };
  const folder = newFolder();
  await runNode([join(ROOT, 'scripts', 'pack.mjs'), folder], { env });
  for (const name of readdirSync(folder)) {
    const packed = execFileSync('tar', ['xzOf', join(folder, name), 'package/package.json']);
    const site = 'https://github.com/somebody/hookline';
    expect(JSON.parse(packed.toString())).toMatchObject({
      repository: { type: 'git', url: `git+${site}.git` },
      homepage: `${site}#readme`,
      bugs: { url: `${site}/issues` },
    });
  }
  const guide = (path: string) => {
    const file = join(folder, `hookline-${manifest.version}.tgz`);
    return execFileSync('tar', ['xzOf', file, `package/${path}`], { encoding: 'utf8' });
  };
  const at = `somebody/hookline/v${manifest.version}`;
  const image = `(https://raw.githubusercontent.com/${at}/docs/images/architecture.svg)`;
  expect(guide('README.md')).toContain(image);
  const blob = `https://github.com/${at.replace('/v', '/blob/v')}`;
  expect(guide('docs/nextjs.md')).toContain(`(${blob}/examples/next-approval)`);
  expect(guide('docs/api.md')).not.toMatch(/\]\((?!https:|#)/);
  expect(guide('README.md')).not.toMatch(/\]\((?!https:|#)/);
});

test('every link of the guides leads somewhere', () => {
  const folder = newFolder();
  extract('hookline', folder);
  const guides = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.md'),
  );
  expect(guides).toContain(join('docs', 'nextjs.md'));
  const examples = readdirSync(join(ROOT, 'examples'))
    .map((name) => join('examples', name, 'README.md'))
    .filter((path) => existsSync(join(ROOT, path)));
  for (const guide of [...guides, ...examples, 'CONTRIBUTING.md', 'ARCHITECTURE.md']) {
    const text = readFileSync(join(ROOT, guide), 'utf8').replaceAll(/```[\s\S]*?```/g, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)]+)\)/g)) {
      if (/^(?:https?|mailto):/.test(target)) continue;
      const [path = '', heading] = target.split('#');
      const file = path === '' ? join(ROOT, guide) : join(ROOT, guide, '..', path);
      expect({ guide, target, isThere: existsSync(file) }).toEqual({
        guide,
        target,
        isThere: true,
      });
      if (!heading) continue;
      const headings = readFileSync(file, 'utf8').matchAll(/^#+ (.+)$/gm);
      expect([...headings].map(([, title = '']) => anchorOf(title))).toContain(heading);
    }
  }
});

/** The name of a heading in a link, as GitHub makes it. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

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
  const source = readFileSync(join(ROOT, 'ts', 'native', 'addon-missing.ts'), 'utf8');
  const known = [...source.matchAll(/^ {2}'([\w-]+)',$/gm)].map(([, platform]) => platform);
  expect(known).toEqual(PLATFORMS);
});

test('all parts have one version', () => {
  const versions = PLATFORMS.map((platform) => readJson(ROOT, 'npm', platform, 'package.json'));
  expect(new Set(versions.map(({ version }) => version))).toEqual(new Set([manifest.version]));
  const cargo = readFileSync(join(ROOT, 'Cargo.toml'), 'utf8');
  expect(/^version = "(.+)"$/m.exec(cargo)?.[1]).toBe(manifest.version);
});

test('one command gives all parts their next version, committed and tagged', () => {
  const clone = newFolder();
  const run = (command: string, ...args: string[]) =>
    execFileSync(command, args, { cwd: clone, encoding: 'utf8' }).trim();
  const parts = ['package.json', 'package-lock.json', 'Cargo.toml', 'Cargo.lock', 'npm', 'scripts'];
  for (const part of parts) cpSync(join(ROOT, part), join(clone, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
  writeFileSync(join(clone, '.gitignore'), 'node_modules\n*.node\n');
  run('git', 'init', '--quiet');
  for (const [name, value] of Object.entries({ 'user.name': 'A', 'user.email': 'a@b.invalid' })) {
    run('git', 'config', name, value);
  }
  run('git', 'add', '.');
  run('git', 'commit', '--quiet', '--message', 'before');

  run('npm', 'version', '9.8.7-beta.6');

  expect(run('git', 'tag', '--points-at', 'HEAD')).toBe('v9.8.7-beta.6');
  expect(run('git', 'status', '--porcelain')).toBe('');
  const manifests = PLATFORMS.map((platform) => readJson(clone, 'npm', platform, 'package.json'));
  for (const { version } of manifests) expect(version).toBe('9.8.7-beta.6');
  for (const name of ['Cargo.toml', 'Cargo.lock']) {
    const text = readFileSync(join(clone, name), 'utf8');
    expect(text).toContain('name = "hookline"\nversion = "9.8.7-beta.6"\n');
  }
});
