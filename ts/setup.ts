/**
 * What is refused because the app is not set up for it: each is one error that says what to do.
 *
 * Beside another World of the SDK this package would be worse than useless: the app's workflows would
 * write in one place, and this package in another, where nobody delivers.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { toError } from './errors';
import { messageOf, unsupportedSdk } from './installed-sdk';

const PACKAGE = 'hookline';

/** The working directory whose SDK has been found good. */
let supportedIn: string | undefined;

/**
 * The app has an SDK that this package cannot work with.
 *
 * @throws WorkflowWorldError with code `UNSUPPORTED_SDK`.
 */
export function refuseUnsupportedSdk(): void {
  const cwd = process.cwd();
  if (supportedIn === cwd) return;
  const unsupported = unsupportedSdk();
  if (unsupported) {
    throw toError({ code: 'UNSUPPORTED_SDK', message: messageOf(unsupported), details: {} });
  }
  supportedIn = cwd;
}

/** The last target that was looked up, and whether it is this package. */
let known: { target: string; isOurs: boolean } | undefined;

/**
 * The World that the SDK of this process uses is another one, or will be.
 *
 * @throws WorkflowWorldError with code `NOT_CONFIGURED`, when `sdkWorld` is there, which is none of
 *   ours, or when `WORKFLOW_TARGET_WORLD` names a module that is not this package.
 */
export function refuseOtherWorld(sdkWorld: unknown): void {
  const target = process.env.WORKFLOW_TARGET_WORLD;
  const isNamed = target === undefined || target === '' || isThisPackage(target);
  if (isNamed && !sdkWorld) return;
  const because = isNamed
    ? target
      ? 'the Workflow SDK was given another World before WORKFLOW_TARGET_WORLD was set, or by setWorld()'
      : 'WORKFLOW_TARGET_WORLD is not set, and the Workflow SDK has chosen another World'
    : `WORKFLOW_TARGET_WORLD is ${target}`;
  throw toError({
    code: 'NOT_CONFIGURED',
    message: `The workflows of this process are not stored by hookline: ${because}. Set WORKFLOW_TARGET_WORLD=hookline where the app starts (Next.js: withHookline() inside withWorkflow()), or import from workflow/api what is meant for that World.`,
    details: {},
  });
}

/** Whether the SDK, which resolves the text from the working directory, will find this package. */
function isThisPackage(target: string): boolean {
  if (target === PACKAGE) return true;
  if (known?.target !== target) known = { target, isOurs: isFileOfThisPackage(target) };
  return known.isOurs;
}

function isFileOfThisPackage(target: string): boolean {
  let folder: string;
  try {
    folder = dirname(createRequire(join(process.cwd(), 'index.js')).resolve(target));
  } catch {
    return false;
  }
  for (;;) {
    try {
      const { name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      if (name) return name === PACKAGE;
    } catch {
      // It is further up.
    }
    const parent = dirname(folder);
    if (parent === folder) return false;
    folder = parent;
  }
}
