/** Astro: the SDK's integration, a server of Node, and a program that starts delivery before it. */
import type { Code } from '../code';
import { addCall, configObject } from '../config';
import type { Draft } from '../draft';
import { setTexts } from '../manifest';

/** The development server runs the configuration, and not the start line. */
const NAME_WORLD = `process.env.WORKFLOW_TARGET_WORLD ||= 'hookline';`;
const CONFIG = `import node from '@astrojs/node';
import { defineConfig } from 'astro/config';
import { workflow } from 'workflow/astro';

${NAME_WORLD}

export default defineConfig({
  adapter: node({ mode: 'standalone' }),
  integrations: [workflow()],
});
`;
const PROGRAM = 'start.mjs';
/** Astro loads an app's code at the first request only. */
const START = `import { startDelivery } from 'hookline';

await startDelivery();
await import('./dist/server/entry.mjs');
`;
/** The version of the adapter for each version of Astro that is not the newest. */
const ADAPTERS: Record<number, string> = { 4: '8', 5: '9', 6: '10' };

/** Plans an Astro app. */
export function astro(draft: Draft): string[] {
  const path = draft.findModule('astro.config') ?? 'astro.config.mjs';
  let isStandalone = true;
  draft.editOrCreate(path, CONFIG, (code) => {
    isStandalone = configure(draft, code);
  });
  if (isStandalone) {
    if (draft.read(PROGRAM) === undefined) draft.write(PROGRAM, START);
    setTexts(draft, 'package.json', ['scripts'], { start: `node ${PROGRAM}` });
  } else {
    const why = 'its adapter makes no server that runs by itself; call this where yours starts';
    draft.byHand.push({ path, why, code: START.replace(/await import.*\n/, '') });
  }
  return [];
}

/** Returns whether the app is built as a server that runs by itself. */
function configure(draft: Draft, code: Code): boolean {
  const config = configObject(code);
  const own = code.property(config, 'adapter');
  addCall(code, config, 'integrations', { name: 'workflow', source: 'workflow/astro' });
  if (!code.text.includes('WORKFLOW_TARGET_WORLD')) code.addAfterImports(NAME_WORLD);
  if (own) return code.textOf(own).includes('standalone');
  draft.needs('@astrojs/node', ADAPTERS[draft.majorOf('astro') ?? 0]);
  const adapter = code.import('default', '@astrojs/node', 'node');
  code.addProperty(config, 'adapter', code.statement(`${adapter}({ mode: 'standalone' })`));
  return true;
}
