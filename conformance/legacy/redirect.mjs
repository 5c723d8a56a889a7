// Loaded into the suite's server process with `--import`. Its server imports bundles that an old
// builder made, for a World interface that no longer exists (`world.runs.update`). Here it gets
// bundles made by the installed builder, and everything else of it runs as published.

import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const SERVER = '/@workflow/world-testing/dist/src/server.mjs';
const ROUTES = '../.well-known/workflow/v1/';
const bundles = process.env.CONFORMANCE_BUNDLES;

if (isMainThread) register(import.meta.url);

export function resolve(specifier, context, next) {
  if (!context.parentURL?.endsWith(SERVER)) return next(specifier, context);
  const local = (url) => ({ url: String(url), shortCircuit: true });
  if (specifier === 'workflow/runtime') return local(new URL('runtime.mjs', import.meta.url));
  if (!specifier.startsWith(ROUTES)) return next(specifier, context);
  const name = specifier.slice(ROUTES.length).replace('manifest.debug.json', 'manifest.json');
  return next(new URL(name, bundles).href, context);
}
