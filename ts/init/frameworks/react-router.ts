/** React Router's framework mode, served by Nitro as the SDK's guide builds it. */
import { type Code, TooUnusual } from '../code';
import { addCall, arrayOf, configObject, objectOf } from '../config';
import type { Draft } from '../draft';
import { setTexts } from '../manifest';
import { NITRO, NITRO_OUTPUT } from './nitro';
import { addNitroModule } from './vite';

const SERVER = `import { createRequestHandler } from 'react-router';

export default {
  fetch: createRequestHandler(
    () => import('virtual:react-router/server-build'),
    import.meta.env.MODE,
  ),
};
`;
/** React Router looks for its manifest where it builds, and Nitro builds elsewhere. */
const MANIFEST_PLUGIN = `{
  name: 'react-router-nitro-manifest',
  applyToEnvironment: (environment) => environment.name === 'client',
  async writeBundle({ dir }) {
    if (dir) await cp(\`\${dir}/.vite\`, 'build/client/.vite', { recursive: true });
  },
}`;
const INPUT = `{ build: { rollupOptions: { input: './server/ssr.ts' } } }`;
const VITE_BY_HAND = `import { cp } from 'node:fs/promises';
import { nitro } from 'nitro/vite';
import { workflow } from 'workflow/vite';

plugins: [
  reactRouter(),
  nitro({ serverDir: './server' }),
  ${MANIFEST_PLUGIN.replace(/\n/g, '\n  ')},
  workflow({ dirs: ['workflows'] }),
],
environments: { ssr: ${INPUT} },
nitro: { modules: ['hookline/nitro'] },
`;

/** Plans an app of React Router 7 or 8. */
export function reactRouter(draft: Draft): string[] {
  draft.needsForBuild('nitro', NITRO);
  const isSeven = draft.majorOf('@react-router/dev') === 7;
  const flag = isSeven ? `  future: { v8_viteEnvironmentApi: true },\n` : '';
  const text = `export default {\n  ssr: true,\n  buildDirectory: 'build',\n${flag}};\n`;
  const config = draft.findModule('react-router.config') ?? 'react-router.config.ts';
  draft.editOrCreate(config, text, (code) => configureRouter(code, isSeven));
  if (draft.read('server/ssr.ts') === undefined) draft.write('server/ssr.ts', SERVER);
  const vite = draft.findModule('vite.config') ?? 'vite.config.ts';
  draft.edit(vite, addPlugins, VITE_BY_HAND);
  setTexts(draft, 'package.json', ['scripts'], {
    dev: 'vite dev',
    build: 'vite build',
    start: 'node .output/server/index.mjs',
  });
  return NITRO_OUTPUT;
}

function configureRouter(code: Code, isSeven: boolean): void {
  const config = configObject(code);
  const ssr = code.property(config, 'ssr');
  if (ssr && code.textOf(ssr) !== 'true') throw new TooUnusual('it does not render on the server');
  const folder = code.property(config, 'buildDirectory');
  if (folder && !(folder.type === 'StringLiteral' && folder.value === 'build')) {
    throw new TooUnusual('it builds into another folder');
  }
  if (!folder) code.addProperty(config, 'buildDirectory', code.statement(`'build'`));
  if (!isSeven) return;
  const future = objectOf(code, config, 'future');
  const flag = 'v8_viteEnvironmentApi';
  if (!future) code.addProperty(config, 'future', `{ ${flag}: true }`);
  else if (!code.property(future, flag)) code.addProperty(future, flag, 'true');
}

function addPlugins(code: Code): void {
  const config = configObject(code);
  addCall(code, config, 'plugins', {
    name: 'nitro',
    source: 'nitro/vite',
    options: code.statement(`{ serverDir: './server' }`),
  });
  const plugins = arrayOf(code, config, 'plugins');
  if (!plugins) throw new TooUnusual('it has no plugins');
  if (!code.text.includes('react-router-nitro-manifest')) {
    code.import('cp', 'node:fs/promises');
    code.addElement(plugins, code.statement(MANIFEST_PLUGIN));
  }
  addCall(code, config, 'plugins', {
    name: 'workflow',
    source: 'workflow/vite',
    options: code.statement(`{ dirs: ['workflows'] }`),
  });
  if (!objectOf(code, config, 'environments')) {
    code.addProperty(config, 'environments', code.statement(`{ ssr: ${INPUT} }`));
  } else if (!code.text.includes('server/ssr')) {
    throw new TooUnusual('it has environments of its own');
  }
  addNitroModule(code, config);
}
