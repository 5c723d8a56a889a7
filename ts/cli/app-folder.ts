/** The files of an app on disk. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { App } from '../init/index';

/** Reads the app in a folder; a file that does not exist is `undefined`. */
export function appIn(folder: string): App {
  return {
    read(path) {
      try {
        return readFileSync(join(folder, path), 'utf8');
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return undefined;
        throw error;
      }
    },
    isFolder: (path) =>
      statSync(join(folder, path), { throwIfNoEntry: false })?.isDirectory() ?? false,
  };
}
