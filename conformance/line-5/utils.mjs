// What the suite's server gets when it imports `@workflow/utils`, whose getWorldImport() is gone. The
// server imports the module that this names, and makes its World with the SDK's own function.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export function getWorldImport({ WORKFLOW_TARGET_WORLD: world }) {
  // The SDK resolves a World from the working directory, and has its own local one.
  const from = createRequire(join(process.cwd(), 'index.js'));
  return world === 'local' ? '@workflow/world-local' : pathToFileURL(from.resolve(world)).href;
}
