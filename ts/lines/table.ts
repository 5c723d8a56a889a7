/** The lines of the SDK that this package supports. A new line is one folder and one entry. */
import { isAtLeast } from '../native/node-version';
import { line4 } from './4';
import type { Line } from './line';

/** The newest first. */
export const LINES: readonly Line[] = [line4];

/** The line of a process that has no SDK, as far as its folders show. */
export const DEFAULT_LINE = line4;

/** The line of a version of the SDK; `undefined` when this package does not support the version. */
export function lineOfVersion(version: string): Line | undefined {
  return LINES.find(
    ({ major, oldest }) => Number(version.split('.')[0]) === major && isAtLeast(version, oldest),
  );
}

/** The line whose SDK this process has loaded. */
export function loadedLine(): Line | undefined {
  return LINES.find((line) => line.isLoaded());
}

/** The supported versions of the SDK, for people. */
export const SUPPORTED_SDK = LINES.toReversed()
  .map(({ oldest, major }) => `${oldest.join('.')} and later ${major}.x versions`)
  .join(', ');

/** The command that installs a supported SDK. */
export const INSTALL_SDK = `npm install workflow@${DEFAULT_LINE.major}`;
