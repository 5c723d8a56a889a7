// Compiles `<folder>/workflows` with the SDK's own builder (`workflow build`, standalone target).
//
//   node scripts/build-workflows.mjs <folder>      prints the directory of the compiled bundles
//   import { buildWorkflows } from '.../build-workflows.mjs'
//
// The result lands in `<folder>/.build/<version of the SDK>/<hash of the inputs>`: a second call
// costs one hash, and several test files may call at the same time, because a directory appears only
// by a rename.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const BUILD_LIMIT_MS = 120_000;
const OUTPUT = '.well-known/workflow/v1';

/**
 * Compiles the workflows of a folder unless they are compiled already; returns the directory.
 *
 * `others` are more files, compiled beside them. `sdk` is a file, for which Node finds the SDK that
 * compiles them; by default the one of this project.
 */
export async function buildWorkflows(folder, { others = [], sdk = import.meta.url } = {}) {
  const source = resolve(folder, 'workflows');
  const runtime = createRequire(sdk).resolve('workflow/runtime');
  const inputs = { source, others, sdk: resolve(dirname(runtime), '..') };
  const { version } = JSON.parse(await readFile(join(inputs.sdk, 'package.json'), 'utf8'));
  const target = resolve(folder, '.build', version, await hashInputs(inputs));
  if (!(await exists(target))) await buildInto(target, inputs);
  return join(target, OUTPUT);
}

async function buildInto(target, { source, others, sdk }) {
  const builds = dirname(target);
  await mkdir(builds, { recursive: true });
  // The builder leaves caches and a .gitignore in its working directory, and names workflows by
  // their path from there: so it works on a copy, inside the ignored folder.
  const staging = await mkdtemp(join(builds, 'staging-'));
  try {
    await cp(source, join(staging, 'workflows'), { recursive: true });
    for (const file of others) await cp(file, join(staging, 'workflows', basename(file)));
    await mkdir(join(staging, 'node_modules'));
    await symlink(sdk, join(staging, 'node_modules', 'workflow'), 'junction');
    await runBuilder(staging, sdk);
    // Line 4 writes this bundle as an ES module without the extension: Node would have to guess.
    const webhook = join(staging, OUTPUT, 'webhook.js');
    if (await exists(webhook)) await rename(webhook, webhook.replace('.js', '.mjs'));
    await rename(staging, target).catch(async (error) => {
      if (!(await exists(target))) throw error; // somebody else built the same thing first
    });
    await removeOlder(builds, target);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function removeOlder(builds, target) {
  for (const name of await readdir(builds)) {
    const path = join(builds, name);
    const kept = path === target || name.startsWith('staging-');
    if (!kept) await rm(path, { recursive: true, force: true });
  }
}

async function runBuilder(cwd, sdk) {
  const cli = join(sdk, 'bin', 'run.js');
  try {
    await promisify(execFile)(process.execPath, [cli, 'build'], { cwd, timeout: BUILD_LIMIT_MS });
  } catch (error) {
    throw new Error(`workflow build failed\n${error.stdout ?? ''}${error.stderr ?? ''}`, {
      cause: error,
    });
  }
}

async function hashInputs({ source, others, sdk }) {
  const hash = createHash('sha256');
  const files = (await readdir(source, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
  const manifest = join(sdk, 'package.json');
  for (const file of [fileURLToPath(import.meta.url), manifest, ...files, ...others]) {
    hash.update(`${file.slice(source.length)}\0`).update(await readFile(file));
  }
  return hash.digest('hex').slice(0, 16);
}

function exists(path) {
  return stat(path).then(
    () => true,
    () => false,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2];
  if (!folder) throw new Error('usage: node scripts/build-workflows.mjs <folder>');
  console.log(await buildWorkflows(folder));
}
