/** Vite with Nitro, which TanStack Start and React Router use too. */
import type { ObjectExpression } from '@babel/types';
import type { Code } from '../code';
import { addCall, addName, arrayOf, configObject, has, objectOf } from '../config';
import type { Draft } from '../draft';
import { importedName } from '../imports';
import { NITRO, NITRO_OUTPUT } from './nitro';

const MODULE = 'hookline/nitro';
const BY_HAND = `import { nitro } from 'nitro/vite';
import { workflow } from 'workflow/vite';

plugins: [nitro(), workflow()],
nitro: { modules: ['hookline/nitro'] },
`;
/** Where Nitro looks for code in the folder of its server. */
const SCANNED = ['api', 'routes', 'middleware', 'plugins', 'tasks'];

/** Plans an app of Vite. */
export function vite(draft: Draft): string[] {
  draft.needsForBuild('nitro', NITRO);
  const path = draft.findModule('vite.config') ?? 'vite.config.ts';
  // A folder that was there before Nitro is not meant for it.
  const serverDir = SCANNED.some((name) => draft.isFolder(name)) ? './server' : './';
  const options = `{ serverDir: '${serverDir}', modules: ['hookline/nitro'] }`;
  const text = `import { nitro } from 'nitro/vite';
import { defineConfig } from 'vite';
import { workflow } from 'workflow/vite';

export default defineConfig({
  plugins: [nitro(), workflow()],
  nitro: ${options},
});
`;
  draft.editOrCreate(path, text, (code) => addPlugins(code, options), BY_HAND);
  return NITRO_OUTPUT;
}

function addPlugins(code: Code, newNitro: string): void {
  const config = configObject(code);
  const known = importedName(code.statements, 'nitro', 'nitro/vite');
  const hadNitro = known !== undefined && has(arrayOf(code, config, 'plugins'), known);
  if (code.property(config, 'plugins')) {
    if (!hadNitro) addCall(code, config, 'plugins', { name: 'nitro', source: 'nitro/vite' });
    addCall(code, config, 'plugins', { name: 'workflow', source: 'workflow/vite' });
  } else {
    const names = [code.import('nitro', 'nitro/vite'), code.import('workflow', 'workflow/vite')];
    code.addProperty(config, 'plugins', `[${names.map((name) => `${name}()`).join(', ')}]`);
  }
  addNitroModule(code, config, hadNitro ? undefined : newNitro);
}

/** Adds the module to `nitro` of a configuration, which is added as `whole` if there is none. */
export function addNitroModule(
  code: Code,
  config: ObjectExpression,
  whole = `{ modules: ['hookline/nitro'] }`,
): void {
  const options = objectOf(code, config, 'nitro');
  if (options) addName(code, options, 'modules', MODULE);
  else code.addProperty(config, 'nitro', code.statement(whole));
}
