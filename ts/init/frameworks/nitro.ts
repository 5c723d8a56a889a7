/** Nitro, and the servers that have no build of their own: Hono, Express, Fastify. */
import { addName, configObject } from '../config';
import type { Draft } from '../draft';
import { setTexts } from '../manifest';
import { entryOf, exportApp, type Server } from './server-entry';

/** The version of Nitro 3 that has `defineConfig`; the tag `latest` is an older one. */
export const NITRO = '3.0.260610-beta';
/** What Nitro writes. */
export const NITRO_OUTPUT = ['.nitro', '.output'];
/** What runs the built server. */
const SCRIPTS = {
  dev: 'nitro dev',
  build: 'nitro build',
  start: 'node .output/server/index.mjs',
};

const MODULES = ['workflow/nitro', 'hookline/nitro'];
const BY_HAND = `modules: ['workflow/nitro', 'hookline/nitro'],\n`;

/** Plans an app of Nitro 2 or 3. */
export function nitro(draft: Draft): string[] {
  const isTwo = draft.has('nitropack');
  configure(
    draft,
    isTwo ? 'defineNitroConfig' : 'defineConfig',
    isTwo ? 'nitropack/config' : 'nitro',
  );
  return NITRO_OUTPUT;
}

/** Plans a server of Hono, Express or Fastify: Nitro builds and serves it. */
export function serverOnNitro(draft: Draft): string[] {
  draft.needsForBuild('nitro', NITRO);
  const server: Server = draft.has('hono') ? 'hono' : draft.has('express') ? 'express' : 'fastify';
  const entry = entryOf(draft);
  // Nitro finds this one by itself.
  const isFound = server === 'hono' && /^server\.[cm]?[jt]s$/.test(entry ?? '');
  const handler = server === 'hono' ? `'./${entry}'` : `{ handler: './${entry}', format: 'node' }`;
  const routes = entry && !isFound ? `  routes: { '/**': ${handler} },\n` : '';
  configure(draft, 'defineConfig', 'nitro', routes);
  if (entry) exportApp(draft, entry, server);
  setTexts(draft, 'package.json', ['scripts'], SCRIPTS);
  return NITRO_OUTPUT;
}

function configure(draft: Draft, define: string, from: string, more = ''): void {
  const path = draft.findModule('nitro.config') ?? 'nitro.config.ts';
  const text = `import { ${define} } from '${from}';

export default ${define}({
  modules: ['workflow/nitro', 'hookline/nitro'],
${more}});
`;
  draft.editOrCreate(
    path,
    text,
    (code) => {
      const config = configObject(code);
      // A list that is not there is added once, with both.
      if (code.property(config, 'modules')) {
        for (const name of MODULES) addName(code, config, 'modules', name);
      } else {
        code.addProperty(config, 'modules', code.statement(`['workflow/nitro', 'hookline/nitro']`));
      }
    },
    BY_HAND,
  );
}
