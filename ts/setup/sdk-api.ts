/** Loads `workflow/api` of the app, for a process that was given another World. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { toError } from '../native/errors';
import { importFile } from './import-file';
import { messageOf, missingSdk } from './installed-sdk';

/** The functions of the SDK that the functions of this package stand in for. */
export type SdkApi = typeof import('workflow/api');

let loaded: Promise<SdkApi> | undefined;

/**
 * The SDK of the app in the working directory.
 *
 * @throws WorkflowWorldError with code `NOT_CONFIGURED` when the SDK is not installed there, or
 *   when a test runner cannot load ES modules.
 */
export function sdkApi(): Promise<SdkApi> {
  if (!loaded) {
    loaded = load();
    // The SDK may be there at the next call.
    loaded.catch(() => {
      loaded = undefined;
    });
  }
  return loaded;
}

async function load(): Promise<SdkApi> {
  const require = createRequire(join(process.cwd(), 'index.js'));
  let file: string;
  try {
    file = require.resolve('workflow/api');
  } catch (cause) {
    const missing = missingSdk();
    throw missing ? notLoaded(messageOf(missing), cause) : cause;
  }
  try {
    // The SDK is an ES module.
    return await importFile<SdkApi>(file);
  } catch (cause) {
    if (!isWithoutImport(cause)) throw cause;
  }
  try {
    return require(file);
  } catch (cause) {
    throw notLoaded(
      'This process was given another World than that of hookline, so the Workflow SDK has to do the work, but this test runner cannot load the ES module workflow/api. In Jest, use hookline/jest, or set transformIgnorePatterns to [].',
      cause,
    );
  }
}

/** Whether the error says that `import()` does not work here: in Jest, and in other `vm` contexts. */
function isWithoutImport(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && code.startsWith('ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING');
}

function notLoaded(message: string, cause: unknown): Error {
  return Object.assign(toError({ code: 'NOT_CONFIGURED', message, details: {} }), { cause });
}
