/**
 * What is refused because the app is not set up for it: each is one error that says what to do.
 *
 * Beside another World of the SDK this package would be worse than useless: the app's workflows would
 * write in one place, and this package in another, where nobody delivers.
 */
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { toError } from '../native/errors';
import { declares, messageOf, readManifest, unsupportedSdk, upwards } from './installed-sdk';

const PACKAGE = 'hookline';

/**
 * The app has an SDK that this package cannot work with.
 *
 * @throws WorkflowWorldError with code `UNSUPPORTED_SDK`.
 */
export function refuseUnsupportedSdk(): void {
  const unsupported = unsupportedSdk(__dirname);
  if (!unsupported) return;
  throw toError({ code: 'UNSUPPORTED_SDK', message: messageOf(unsupported), details: {} });
}

/** The module that the SDK is told to take its World from, unless that is this package or nobody says. */
export function otherTarget(): string | undefined {
  const target = process.env.WORKFLOW_TARGET_WORLD;
  return target && target !== PACKAGE ? target : undefined;
}

/** The World that the SDK of this process uses, or will use, is another one: code `NOT_CONFIGURED`. */
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
 * A World made as the SDK makes it of its target: by name or path from the working directory, and by
 * a call of the module, its default export or its `createWorld`. `undefined` when the module is not
 * there, or is that of another World, whose code is then not run.
 *
 * Throws what the module throws, as the SDK does.
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

/** A file of the app may, as may one of a package that uses this one; this one's own is no other. */
function mayWrapThisPackage(file: string): boolean {
  if (!file.includes(`${sep}node_modules${sep}`)) return true;
  for (const folder of upwards(dirname(file))) {
    const manifest = readManifest(join(folder, 'package.json'));
    // Some folders of a package have one that says only how their files are read.
    if (manifest?.name) return manifest.name === PACKAGE || declares(manifest, PACKAGE);
  }
  return false;
}
