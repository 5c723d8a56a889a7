/** Where the database is, and the warnings about its place. */
import { realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { answerOf, type NativeWorld } from '../native/binding';
import { buildFolderOf } from './build-folder';
import { sayOnce } from './say-once';

/** A place: the addon's report, and whether the next build deletes it. */
export interface Place {
  path: string;
  /** Why nothing can be written there. */
  refusal: string | null;
  /** Why the database may be lost one day. */
  warning: { of: 'container' | 'memory' | 'build'; found: string; advice: string } | null;
}

/** `undefined` for a database in memory. */
export function placeOf(native: NativeWorld): Place | undefined {
  const place = answerOf<Place | undefined>(native.place()).json;
  return place && { ...place, warning: deletedByBuild(place.path) ?? place.warning };
}

function deletedByBuild(path: string): Place['warning'] | undefined {
  const folder = buildFolderOf(dirname(path));
  if (!folder) return undefined;
  const found = `${path} is in ${folder}, which the next build deletes`;
  return { of: 'build', found, advice: 'set WORKFLOW_HOOKLINE_URL to a path outside of it' };
}

/**
 * Warns of a database that will not last. In development and in tests it does not warn of places
 * that only a restart clears, because those keep their files there on purpose.
 */
export function warnOfPlace(place: Place | undefined): void {
  const warning = place?.warning;
  if (!warning) return;
  if (warning.of !== 'build' && process.env.NODE_ENV !== 'production') return;
  sayOnce('HOOKLINE_PLACE', `The database ${warning.found}: ${warning.advice}.`);
}

/** Tells the user of the SDK's own tools that there is no database to read. */
export function sayAbsent(place: Place | undefined): void {
  if (isToolOfSdk()) sayOnce('HOOKLINE_ABSENT', absence(place));
}

/** The message for a missing database. */
export function absence(place: Place | undefined): string {
  return `There is no database at ${place?.path}. Run this in the folder of the app, or set WORKFLOW_HOOKLINE_URL to its path.`;
}

/** An app may read before it writes; the command line and the web UI only look. */
function isToolOfSdk(): boolean {
  const [, program = ''] = process.argv;
  try {
    return /[\\/](@workflow[\\/](cli|web)|workflow)[\\/]/.test(realpathSync(program));
  } catch {
    return false;
  }
}
