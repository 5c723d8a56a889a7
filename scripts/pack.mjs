// Packs what is published: the package, and one package per platform whose binary is there.
//
//   node scripts/pack.mjs [folder]     default: artifacts/packages; `npm run build` comes first
//
// A platform's binary is taken from native/ (what was built here) or from its folder in npm/ (what
// `napi artifacts` has put there). The package depends on exactly the platform packages that were
// packed with it, so what is tested from here is what a registry would give. On GitHub the packages
// name the repository that they are packed in (a registry compares it with the provenance), and the
// links of the guides lead there: a registry's page shows the README alone.

import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, posix, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** The repository on GitHub, when this runs there. */
const repository = process.env.GITHUB_REPOSITORY;
const site = `https://github.com/${repository}`;

/** What the repository adds to each manifest. */
const origin = repository && {
  homepage: `${site}#readme`,
  bugs: { url: `${site}/issues` },
  repository: { type: 'git', url: `git+${site}.git` },
};

/**
 * Packs into a folder, which is emptied first; returns one `{ name, file, size, unpackedSize }` per
 * tarball, the package itself first.
 */
export async function pack(folder) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const staging = await mkdtemp(join(tmpdir(), 'hookline-pack-'));
  try {
    const platforms = await stagePlatforms(staging);
    if (platforms.length === 0) throw new Error('There is no binary to pack: run `npm run build`.');
    await stagePackage(join(staging, 'hookline'), platforms);
    const packed = [];
    for (const name of ['hookline', ...platforms.map((platform) => platform.name)]) {
      packed.push(await npmPack(join(staging, name), folder));
    }
    return packed;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** The platform packages whose binary exists, each in a folder of its name. */
async function stagePlatforms(staging) {
  const staged = [];
  for (const platform of (await readdir(join(root, 'npm'))).sort()) {
    const from = join(root, 'npm', platform);
    const manifest = await readJson(join(from, 'package.json'));
    const binary = await firstThatExists([
      join(root, 'native', manifest.main),
      join(from, manifest.main),
    ]);
    if (!binary) continue;
    const to = join(staging, manifest.name);
    await mkdir(to);
    await writeManifest(to, manifest);
    await cp(join(from, 'README.md'), join(to, 'README.md'));
    await cp(join(root, 'LICENSE'), join(to, 'LICENSE'));
    await cp(binary, join(to, manifest.main));
    staged.push(manifest);
  }
  return staged;
}

/** The package as it is published: its listed files, and nothing that only a clone needs. */
async function stagePackage(to, platforms) {
  const { scripts, devDependencies, overrides, ...manifest } = await readJson(
    join(root, 'package.json'),
  );
  manifest.optionalDependencies = Object.fromEntries(
    platforms.map(({ name, version }) => [name, version]),
  );
  await mkdir(to);
  await writeManifest(to, manifest);
  for (const file of manifest.files) {
    await cp(join(root, file), join(to, file), { recursive: true });
  }
  if (repository) await lead(to, manifest.version);
}

/** Makes the links of the packed guides lead to the repository, as it was at this version. */
async function lead(folder, version) {
  const guides = (await readdir(folder, { recursive: true })).filter((file) => /\.md$/.test(file));
  for (const guide of guides) {
    const path = join(folder, guide);
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replaceAll(/(!?)(\[[^\]]*\])\(([^)]+)\)/g, absolute));

    function absolute(link, mark, text, target) {
      if (/^(?:https?:|mailto:|#)/.test(target)) return link;
      const from = posix.dirname(guide.replaceAll('\\', '/'));
      const file = `v${version}/${posix.join(from, target)}`;
      const at = mark
        ? `https://raw.githubusercontent.com/${repository}/${file}`
        : `${site}/blob/${file}`;
      return `${mark}${text}(${at})`;
    }
  }
}

async function writeManifest(folder, manifest) {
  const text = JSON.stringify({ ...manifest, ...origin }, undefined, 2);
  await writeFile(join(folder, 'package.json'), `${text}\n`);
}

async function npmPack(from, destination) {
  const { stdout } = await promisify(execFile)(
    'npm',
    ['pack', '--json', '--ignore-scripts', '--pack-destination', destination],
    { cwd: from, shell: process.platform === 'win32' },
  );
  const packed = JSON.parse(stdout);
  // npm 11 answers with a list, later ones with an object by name.
  const [{ name, filename, size, unpackedSize }] = Object.values(packed);
  return { name, file: join(destination, basename(filename)), size, unpackedSize };
}

async function readJson(path) {
  return JSON.parse(await readFile(path, 'utf8'));
}

async function firstThatExists(paths) {
  for (const path of paths) {
    const there = await stat(path).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  return undefined;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = resolve(process.argv[2] ?? join(root, 'artifacts', 'packages'));
  const kib = (bytes) => `${(bytes / 1024).toFixed(0)} KiB`.padStart(9);
  for (const { name, file, size, unpackedSize } of await pack(folder)) {
    console.log(`${name.padEnd(28)} ${kib(size)} packed ${kib(unpackedSize)} unpacked  ${file}`);
  }
}
