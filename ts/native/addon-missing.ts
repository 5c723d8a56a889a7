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

const BUILD =
  'With Rust installed, it can be built here: node node_modules/hookline/scripts/build-from-source.mjs';

/** The code is in a server's bundle, and the package itself is not where the server runs. */
const BUNDLED =
  'The code of hookline was bundled, and the package is not where the server runs. Keep it out of the bundle, so that it is copied with the server (eve: build: { externalDependencies: ["hookline"] }; Next.js: withHookline), or run `npm install hookline` in the working directory of the server.';

/** The error for an addon that could not be loaded, with code `NO_ADDON`. */
export function addonMissing(cause: unknown): Error {
  const platform = platformName();
  const reasons = typeof cause === 'string' ? [cause] : reasonsOf(cause);
  // A binary that is there and that the system refuses, as for a libc that is too old.
  const refusals = typeof cause === 'string' ? [] : reasons.filter((it) => !ABSENT.test(it));
  const because = (refusals.length > 0 ? refusals : reasons).join('; ');
  const advice = adviceFor(because, refusals.length > 0, platform);
  return toError({
    code: 'NO_ADDON',
    message: `The native addon of hookline could not be loaded on ${platform} (Node ${process.version}): ${because}. ${advice}`,
    details: {},
  });
}

function adviceFor(reason: string, isRefused: boolean, platform: string): string {
  if (isRefused) return BUILD;
  return reason.includes("'hookline/binding'") ? BUNDLED : `${installation(platform)} ${BUILD}`;
}

function installation(platform: string): string {
  return PREBUILT.includes(platform)
    ? `Its package is hookline-${platform}, an optional dependency: install again with optional dependencies, and without a lock file that was made on another platform.`
    : 'There is no prebuilt binary for this platform.';
}

/** Node's message for a module that is not there. */
const ABSENT = /^Cannot find module /;

/**
 * The reasons of all places that the loader tried, in this order, each in one line. The loader keeps
 * them in a chain of causes, the last place first, below an error that only says that all failed.
 */
function reasonsOf(cause: unknown): string[] {
  const reasons = new Set<string>();
  let error = (cause as Error | undefined)?.cause ?? cause;
  while (typeof error === 'object' && error !== null) {
    const { message, cause: earlier } = error as Error;
    reasons.add(firstLine(message));
    error = earlier;
  }
  if (reasons.size === 0) reasons.add(firstLine(cause));
  // The loader also looks for WebAssembly, and no package of ours has any.
  return [...reasons].filter((reason) => !/\bwas[im]/i.test(reason)).reverse();
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
