#!/usr/bin/env node
// Builds the native addon where no prebuilt one fits, from the sources that are in the package.
//
//   node node_modules/hookline/scripts/build-from-source.mjs
//
// Needs Rust (`cargo`, 1.89 or newer) and a C compiler; downloads the crates that Cargo.lock names.
// Takes minutes. The addon is put beside the loader, which prefers it to a prebuilt one.

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** The name under which the loader looks for this platform's addon. */
function addonName() {
  const { platform, arch } = process;
  const abi = { linux: linuxAbi(), win32: '-msvc' }[platform] ?? '';
  return `hookline.${platform}-${arch}${abi}.node`;
}

function linuxAbi() {
  const eabi = process.arch === 'arm' ? 'eabihf' : '';
  return isMusl() ? `-musl${eabi}` : `-gnu${eabi}`;
}

function isMusl() {
  return process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime;
}

function compile(target) {
  const env = { ...process.env, CARGO_TARGET_DIR: target };
  // A shared library cannot bring its own libc.
  if (isMusl()) env.RUSTFLAGS = `${env.RUSTFLAGS ?? ''} -C target-feature=-crt-static`.trim();
  const built = spawnSync('cargo', ['build', '--release', '--locked', '--lib'], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
  if (built.error?.code === 'ENOENT') {
    throw new Error('cargo was not found: install Rust 1.89 or newer (with rustup) and try again.');
  }
  if (built.error) throw built.error;
  if (built.status !== 0) throw new Error('cargo could not build the addon; its output says why.');
}

/** The library that cargo has made, whatever this platform calls it. */
function library(release) {
  const name = readdirSync(release).find((file) =>
    /^(?:lib)?hookline\.(?:so|dylib|dll)$/.test(file),
  );
  if (!name) throw new Error(`cargo left no library in ${release}.`);
  return join(release, name);
}

if (!existsSync(join(root, 'Cargo.toml'))) throw new Error(`There are no sources in ${root}.`);
const given = process.env.CARGO_TARGET_DIR;
const target = given || mkdtempSync(join(tmpdir(), 'hookline-build-'));
try {
  compile(target);
  const addon = join(root, 'native', addonName());
  mkdirSync(dirname(addon), { recursive: true });
  // A new file: with pnpm the old one may be shared with other projects by a hard link.
  rmSync(addon, { force: true });
  copyFileSync(library(join(target, 'release')), addon);
  console.log(`Built ${addon}`);
} finally {
  if (!given) rmSync(target, { recursive: true, force: true });
}
