/**
 * Folders that a build deletes and makes again. A database in one is lost at the next build, and a
 * built server often runs in one: `vite preview` of a Nitro app in `.output`, the standalone server
 * of Next.js in `.next/standalone`.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { upwards } from '../setup/upwards';

/** No project of anyone has a name like these. */
const HIDDEN = ['.next', '.output', '.svelte-kit', '.vercel', '.nuxt'];
/** These names may also be those of a folder of projects. */
const PLAIN = ['dist', 'build'];

const isApp = (folder: string) => existsSync(join(folder, 'package.json'));

/**
 * The outermost build folder that is, or contains, a folder: one with such a name, beside the
 * `package.json` of an app.
 */
export function buildFolderOf(folder: string): string | undefined {
  const isBuilt = (at: string) =>
    [...HIDDEN, ...PLAIN].includes(basename(at)) && isApp(dirname(at));
  return [...upwards(folder)].filter(isBuilt).at(-1);
}

/**
 * The folder of the app that runs in a working directory: the directory itself, or, if that is a
 * build folder or inside of one, the folder that was built.
 *
 * A folder with a plain name that contains a project of its own may be no build, so the directory
 * stays.
 */
export function appFolderOf(cwd: string): string {
  const built = buildFolderOf(cwd);
  if (!built) return cwd;
  if (HIDDEN.includes(basename(built))) return dirname(built);
  for (const at of upwards(cwd)) {
    if (isApp(at)) return cwd;
    if (at === built) break;
  }
  return dirname(built);
}
