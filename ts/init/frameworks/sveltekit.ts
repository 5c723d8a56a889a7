/** SvelteKit: the SDK's Vite plugin, the start line in the server's hooks, and a server of Node. */
import type { Code } from '../code';
import { addCall, configObject } from '../config';
import type { Draft } from '../draft';
import { startIn } from '../start-line';

const AUTO = '@sveltejs/adapter-auto';
const NODE = '@sveltejs/adapter-node';
const PLUGIN = { name: 'workflowPlugin', source: 'workflow/sveltekit' };
const PLUGIN_BY_HAND = `import { workflowPlugin } from 'workflow/sveltekit';

plugins: [sveltekit(), workflowPlugin()],
`;
const INIT = `export { startDelivery as init } from 'hookline';`;

/** Plans a SvelteKit app. */
export function sveltekit(draft: Draft): string[] {
  const end = draft.isTypeScript() ? 'ts' : 'js';
  const vite = draft.findModule('vite.config') ?? `vite.config.${end}`;
  draft.edit(vite, (code) => addCall(code, configObject(code), 'plugins', PLUGIN), PLUGIN_BY_HAND);
  const hooks = draft.findModule('src/hooks.server') ?? `src/hooks.server.${end}`;
  draft.editOrCreate(hooks, `${INIT}\n`, startInInit);
  for (const path of [vite, draft.findModule('svelte.config')]) {
    if (path && draft.read(path)?.includes(AUTO)) useNode(draft, path);
  }
  return [];
}

function startInInit(code: Code): void {
  startIn(code, {
    exported: 'init',
    name: 'startDelivery',
    source: 'hookline',
    local: 'startDelivery',
    whenMissing: INIT,
  });
}

/** The automatic adapter builds nothing that runs on a server of one's own. */
function useNode(draft: Draft, path: string): void {
  draft.needsForBuild(NODE, draft.majorOf('@sveltejs/kit') === 2 ? '5' : '');
  draft.edit(
    path,
    (code) => {
      for (const one of code.statements) {
        if (one.type !== 'ImportDeclaration' || one.source.value !== AUTO) continue;
        code.replace(one.source, code.statement(`'${NODE}'`));
      }
    },
    `import adapter from '${NODE}';\n`,
  );
}
