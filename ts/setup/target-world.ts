/**
 * Finds the World that the app's SDK uses. For a wrong set-up it makes an error that says what to
 * do.
 *
 * If the SDK uses another World, this package must refuse to work: the app's workflows would write
 * to that World, and this package to a database that nobody delivers from.
 */
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { toError } from '../native/errors';
import { declares, messageOf, readManifest, unsupportedSdk, upwards } from './installed-sdk';

const PACKAGE = 'hookline';

/**
 * Throws when this package cannot work with the app's SDK.
 *
 * @throws WorkflowWorldError with code `UNSUPPORTED_SDK`.
 */
export function refuseUnsupportedSdk(): void {
  const unsupported = unsupportedSdk(__dirname);
  if (!unsupported) return;
  throw toError({ code: 'UNSUPPORTED_SDK', message: messageOf(unsupported), details: {} });
}

/**
 * The module that `WORKFLOW_TARGET_WORLD` names; `undefined` when it is not set, or names this
 * package.
 */
export function otherTarget(): string | undefined {
  const target = process.env.WORKFLOW_TARGET_WORLD;
  return target && target !== PACKAGE ? target : undefined;
}

/**
 * The error with code `NOT_CONFIGURED`: the SDK of this process uses, or will use, another World.
 */
export function otherWorld(): Error {
  const target = process.env.WORKFLOW_TARGET_WORLD;
  const because = otherTarget()
    ? `WORKFLOW_TARGET_WORLD is ${target}`
    : target
      ? 'the Workflow SDK was given another World before WORKFLOW_TARGET_WORLD was set, or by setWorld()'
      : 'WORKFLOW_TARGET_WORLD is not set, and the Workflow SDK has chosen another World';
  return toError({
    code: 'NOT_CONFIGURED',
    message: `The workflows of this process are not stored by hookline: ${because}. Set WORKFLOW_TARGET_WORLD=hookline where the app starts (Next.js: withHookline() inside withWorkflow()), or import the functions for that World from workflow/api.`,
    details: {},
  });
}

/**
 * Makes the target's World as the SDK does: it loads the module by name or path from the working
 * directory, and calls the module, its default export or its `createWorld`. Returns `undefined`
 * when the module is missing, or belongs to another World, whose code is then not run.
 *
 * Throws the module's own errors, as the SDK does.
 */
export function worldOfTarget(target: string): unknown {
  const require = createRequire(join(process.cwd(), 'index.js'));
  let file: string;
  try {
    file = require.resolve(target);
  } catch {
    return undefined;
  }
  if (!mayWrapThisPackage(file)) return undefined;
  const module = require(target);
  if (typeof module === 'function') return module();
  if (typeof module?.default === 'function') return module.default();
  return module?.createWorld?.();
}

/**
 * Whether a module may wrap this package: a file of the app may, and so may a package that depends
 * on this one.
 */
function mayWrapThisPackage(file: string): boolean {
  if (!file.includes(`${sep}node_modules${sep}`)) return true;
  for (const folder of upwards(dirname(file))) {
    const manifest = readManifest(join(folder, 'package.json'));
    // Some folders of a package have a manifest that only sets the module type.
    if (manifest?.name) return manifest.name === PACKAGE || declares(manifest, PACKAGE);
  }
  return false;
}
