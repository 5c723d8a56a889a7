/** The lines of the SDK that this package supports. A new line is one folder and one entry. */
import { isAtLeast } from '../native/node-version';
import { line4 } from './4';
import { line5 } from './5';
import type { Line } from './line';

/** The newest first: an SDK also leaves the marks of earlier lines in its process. */
export const LINES: readonly [Line, ...Line[]] = [line5, line4];

/** The line of a process that has no SDK, as far as its folders show. */
export const DEFAULT_LINE: Line = line4;

/** The line of a version of the SDK; `undefined` when this package does not support the version. */
export function lineOfVersion(version: string): Line | undefined {
  return LINES.find(({ major, oldest }) => majorOf(version) === major && isFrom(oldest, version));
}

/** The line of the runs with a spec version; an unknown newer one is of the newest line. */
export function lineOfSpec(specVersion: number | undefined): Line {
  const isOf = ({ specVersions: [oldest] }: Line) => oldest <= (specVersion ?? 1);
  return LINES.find(isOf) ?? DEFAULT_LINE;
}

/** The line whose SDK this process has loaded. */
export function loadedLine(): Line | undefined {
  return LINES.find((line) => line.isLoaded());
}

/**
 * Whether this process has certainly loaded another SDK than this version: a later line than the
 * newest known one leaves the same marks as that.
 */
export function hasLoadedOther(version: string): boolean {
  const loaded = loadedLine();
  if (!loaded || majorOf(version) === loaded.major) return false;
  return loaded !== LINES[0] || majorOf(version) < loaded.major;
}

/** The supported versions of the SDK, for people. */
export const SUPPORTED_SDK = LINES.toReversed()
  .map(({ oldest, major }) => `${oldest} and later ${major}.x versions`)
  .join(', ');

/** The command that installs a supported SDK. */
export const INSTALL_SDK = `npm install workflow@${DEFAULT_LINE.major}`;

function majorOf(version: string): number {
  return Number(version.split('.', 1)[0]);
}

/** Whether a version is the oldest one or later; only the oldest one's own betas are compared. */
function isFrom(oldest: string, version: string): boolean {
  const [release = '', beta] = oldest.split('-');
  const numbers = release.split('.').map(Number);
  const [, ownBeta] = version.split('-');
  if (beta && ownBeta && version.startsWith(`${release}-`)) {
    return lastNumber(ownBeta) >= lastNumber(beta);
  }
  return isAtLeast(version, numbers);
}

function lastNumber(text: string): number {
  return Number(/(\d+)$/.exec(text)?.[1] ?? 0);
}
