/** Imports a file that a bundler must not look for. */
import { pathToFileURL } from 'node:url';

/** Imports an ES module, or a CommonJS one, by its path. */
export function importFile<Module>(file: string): Promise<Module> {
  return import(
    /* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ pathToFileURL(file)
      .href
  );
}
