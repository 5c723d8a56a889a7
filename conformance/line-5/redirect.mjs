// Loaded into the suite's server process with `--import`: its server imports bundles that are not
// there, and two functions that line 5 has changed since.

import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const SERVER = '/@workflow/world-testing/dist/src/server.mjs';
const ROUTES = '../.well-known/workflow/v1/';
const STAND_INS = { '@workflow/utils': 'utils.mjs', 'workflow/api': 'api.mjs' };
const bundles = process.env.CONFORMANCE_BUNDLES;

// For Node 20: the SDK and the suite's cases call it, and Hookline supports that Node.
Promise.withResolvers ??= () => {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};

if (isMainThread) register(import.meta.url);

export function resolve(specifier, context, next) {
  if (!context.parentURL?.endsWith(SERVER)) return next(specifier, context);
  const local = (url) => ({ url: String(url), shortCircuit: true });
  const standIn = STAND_INS[specifier];
  if (standIn) return local(new URL(standIn, import.meta.url));
  if (!specifier.startsWith(ROUTES)) return next(specifier, context);
  return next(new URL(specifier.slice(ROUTES.length), bundles).href, context);
}
