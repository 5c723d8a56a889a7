/**
 * Finds the World that the app's SDK uses. For a wrong set-up it makes an error that says what to
 * do.
 *
 * The SDK may use another World. If the process was given that World on purpose, the functions of
 * this package leave the call to the SDK. If the SDK chose it because nothing was set, they refuse:
 * the app's author means this package.
 */
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import type { World } from '../../index';
import { toError } from '../native/errors';
import { declares, messageOf, readManifest, unsupportedSdk } from './installed-sdk';
import { upwards } from './upwards';

const PACKAGE = 'hookline';

/**
 * The property by which a World of this package is known. A symbol of the global registry, because
 * a bundler may evaluate this module more than once per process.
 */
export const OURS = Symbol.for('hookline//world');

const SDK_WORLD = Symbol.for('@workflow/world//cache');
const SDK_HANDLERS_WORLD = Symbol.for('@workflow/world//stubbedCache');

/** The two Worlds that the SDK of a process keeps in the global object. */
export interface SdkWorlds {
  /** The World of all operations. */
  [SDK_WORLD]?: World;
  /** The World that the SDK's handlers were registered with. */
  [SDK_HANDLERS_WORLD]?: World;
}

/** The Worlds that the SDK of this process has, until now. */
export function sdkWorlds(): { world: World | undefined; handlersWorld: World | undefined } {
  const { [SDK_WORLD]: world, [SDK_HANDLERS_WORLD]: handlersWorld } = globalThis as SdkWorlds;
  return { world, handlersWorld };
}

/** Gives the SDK a World for all operations, as if the SDK had made it. */
export function setSdkWorld(world: World): void {
  (globalThis as SdkWorlds)[SDK_WORLD] = world;
}

/** Whether a World, or a copy of one, is of this package. */
export function isOurs(world: unknown): boolean {
  return (world as { [OURS]?: unknown } | null | undefined)?.[OURS] !== undefined;
}

/**
 * The World of another package that the SDK's `setWorld()` has set, as `@workflow/vitest` does.
 * Only `setWorld()` puts the same World into both places: the SDK itself makes one for each.
 */
export function givenWorld(): World | undefined {
  const { world, handlersWorld } = sdkWorlds();
  return world !== undefined && world === handlersWorld && !isOurs(world) ? world : undefined;
}

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
 * The World that the environment names, as the SDK reads it; `undefined` when it names none, or
 * this package.
 */
export function otherTarget(): string | undefined {
  const { WORKFLOW_TARGET_WORLD: target, VERCEL_DEPLOYMENT_ID: onVercel } = process.env;
  if (target) return target === PACKAGE ? undefined : target;
  return onVercel ? 'vercel' : undefined;
}

/** Whether this process was given another World on purpose: by the environment, or by `setWorld()`. */
export function isGivenAnother(): boolean {
  if (givenWorld()) return true;
  return otherTarget() !== undefined && !isChosenByNext();
}

/** Whether `withWorkflow()` of Next.js has set the variable, because nothing was set. */
function isChosenByNext(): boolean {
  const { WORKFLOW_TARGET_WORLD: target, WORKFLOW_LOCAL_DATA_DIR: folder } = process.env;
  return target === 'local' && folder === '.next/workflow-data';
}

const ADVICE =
  'Set WORKFLOW_TARGET_WORLD=hookline where the app starts (Next.js: withHookline() inside withWorkflow()).';

/**
 * The error with code `NOT_CONFIGURED`: the SDK of this process uses, or will use, another World,
 * and nobody has asked for that.
 */
export function otherWorld(): Error {
  const because = isChosenByNext()
    ? 'WORKFLOW_TARGET_WORLD was not set, and withWorkflow() has chosen the local World'
    : process.env.WORKFLOW_TARGET_WORLD
      ? 'the Workflow SDK has made another World before WORKFLOW_TARGET_WORLD was set'
      : 'WORKFLOW_TARGET_WORLD is not set, and the Workflow SDK has chosen another World';
  return notConfigured(
    `The workflows of this process are not stored by hookline: ${because}. ${ADVICE}`,
  );
}

/**
 * The error with code `NOT_CONFIGURED` for what only this package has, in a process that was given
 * another World.
 */
export function needsHookline(what: string): Error {
  const { WORKFLOW_TARGET_WORLD: target } = process.env;
  const given = givenWorld()
    ? 'by setWorld() of the Workflow SDK'
    : target
      ? `WORKFLOW_TARGET_WORLD is ${target}`
      : 'VERCEL_DEPLOYMENT_ID is set';
  return notConfigured(
    `${what} needs the World of hookline, and this process was given another World: ${given}. ${ADVICE} In tests, use hookline/vitest or hookline/testing.`,
  );
}

function notConfigured(message: string): Error {
  return toError({ code: 'NOT_CONFIGURED', message, details: {} });
}

/**
 * Makes the target's World as the SDK does: it loads the module by name or path from the working
 * directory, and calls the module, its default export or its `createWorld`. Returns `undefined`
 * when the module is missing, or is a package of another World, whose code is then not run.
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
