// The data folder and the program of a server process of the suite. The suite gives its
// servers the environment of the test process.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { databaseIn } from '../__test__/databases.ts';
import { buildWorkflows } from '../scripts/build-workflows.mjs';

export const WORLDS = ['local', 'hookline'];

const root = fileURLToPath(new URL('..', import.meta.url));
const data = mkdtempSync(join(tmpdir(), 'hookline-conformance-'));

/** Gives the next server process a database of its own. */
export function useFreshData() {
  const folder = mkdtempSync(join(data, 'world-'));
  process.env.WORKFLOW_LOCAL_DATA_DIR = folder;
  process.env.WORKFLOW_HOOKLINE_URL = databaseIn(folder);
}

/** Makes the server processes run the suite's workflows as compiled by the installed SDK. */
export function useInstalledBuilder() {
  return useBundles(join(root, 'conformance'), 'legacy/redirect.mjs');
}

/**
 * The same with the SDK of a suite's folder, where `file` is. Its workflows are in that folder, and
 * some are those of line 4.
 */
export function useBuilderOf(file, names) {
  const others = names.map((name) => join(root, 'conformance', 'workflows', `${name}.ts`));
  const folder = dirname(fileURLToPath(file));
  return useBundles(folder, `${basename(folder)}/redirect.mjs`, { others, sdk: file });
}

async function useBundles(folder, redirect, options) {
  const bundles = await buildWorkflows(folder, options);
  process.env.CONFORMANCE_BUNDLES = `${pathToFileURL(bundles)}/`;
  process.env.NODE_OPTIONS = `--import ${new URL(redirect, import.meta.url)}`;
}

export function removeData() {
  rmSync(data, { recursive: true, force: true, maxRetries: 5 });
}

// The SDK resolves the world from the working directory.
if (process.cwd() !== root.replace(/\/$/, '')) {
  throw new Error(`run from the project root, not from ${dirname(root)}`);
}
