/** The error for a missing native addon: the reason, and what to do about it on this platform. */
import { toError } from './errors';

/** The platforms that have a published package with a binary: the folders of `npm/`. */
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
 * The reasons of all places that the loader tried, the last first. The loader keeps the errors in a
 * chain of causes, and any of them may be the real reason (such as a libc that is too old).
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

/** The name of this platform, as in the names of the binaries. */
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
