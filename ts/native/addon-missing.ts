/** What to say when there is no native addon: why, and what to do about it on this platform. */
import { toError } from './errors';

/** The platforms that a package with a binary is published for: the folders of `npm/`. */
export const PREBUILT: readonly string[] = [
  'darwin-arm64',
  'darwin-x64',
  'linux-arm64-gnu',
  'linux-arm64-musl',
  'linux-x64-gnu',
  'linux-x64-musl',
  'win32-x64-msvc',
];

const BUILD = 'node node_modules/hookline/scripts/build-from-source.mjs';

/** The error for an addon that could not be loaded, with code `NO_ADDON`. */
export function addonMissing(cause: unknown): Error {
  const platform = platformName();
  const advice = PREBUILT.includes(platform)
    ? `Its package is hookline-${platform}, an optional dependency: install again with optional dependencies, and without a lock file that was made on another platform.`
    : 'There is no prebuilt binary for this platform.';
  return toError({
    code: 'NO_ADDON',
    message: `The native addon of hookline could not be loaded on ${platform} (Node ${process.version}): ${reasons(cause)}. ${advice} With Rust installed, it can be built here: ${BUILD}`,
    details: {},
  });
}

/**
 * What the loader tried, the last first. It keeps the errors of all places in a chain of causes, and
 * the reason that matters (a libc that is too old) may be any of them.
 */
function reasons(cause: unknown): string {
  if (typeof cause === 'string') return cause;
  const seen = new Set<string>();
  let error = (cause as Error | undefined)?.cause ?? cause;
  while (error instanceof Error || (typeof error === 'object' && error !== null)) {
    const { message, cause: earlier } = error as Error;
    seen.add(firstLine(message));
    error = earlier;
  }
  if (seen.size === 0) seen.add(String(cause));
  return [...seen].join('; ');
}

function firstLine(message: unknown): string {
  return String(message).split('\n', 1)[0] ?? '';
}

/** This platform as the names of the binaries have it. */
function platformName(): string {
  const { platform, arch } = process;
  const abi = { linux: isMusl() ? '-musl' : '-gnu', win32: '-msvc' }[platform as string] ?? '';
  return `${platform}-${arch}${abi}`;
}

function isMusl(): boolean {
  if (process.platform !== 'linux') return false;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime === undefined;
}
