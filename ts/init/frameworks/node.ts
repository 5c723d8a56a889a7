/** Plain Node.js: a server that serves what `workflow build` makes. */
import type { Draft } from '../draft';
import { setTexts } from '../manifest';
import { entryOf } from './server-entry';

const PATH = 'server.mjs';
const OUTPUT = '.well-known/workflow';
const SCRIPTS = { build: 'workflow build', start: `node ${PATH}` };

const SERVER = `// Serves the workflows of workflows/. The routes of the app go beside theirs.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { startDelivery } from 'hookline';

await startDelivery();

// What \`workflow build\` has made.
const load = createRequire(import.meta.url);
const flow = load('./.well-known/workflow/v1/flow.js');
const step = load('./.well-known/workflow/v1/step.js');

const routes = {
  '/.well-known/workflow/v1/flow': flow.POST,
  '/.well-known/workflow/v1/step': step.POST,
};

createServer(async (req, res) => {
  const { url, method, headers } = req;
  const address = new URL(url, 'http://localhost');
  const route = method === 'POST' && routes[address.pathname];
  if (!route) return res.writeHead(404).end();
  const request = new Request(address, { method, headers, body: req, duplex: 'half' });
  const response = await route(request);
  res.writeHead(response.status, Object.fromEntries(response.headers));
  res.end(await response.text());
}).listen(process.env.PORT ?? 3000);
`;

/** Whether the package is new: it uses nothing yet that serves or builds. */
function isEmpty({ manifest: { dependencies, devDependencies } }: Draft): boolean {
  const harmless = /^(?:hookline(?:-.*)?|workflow|typescript|tsx|@types\/.*)$/;
  return Object.keys({ ...dependencies, ...devDependencies }).every((name) => harmless.test(name));
}

/** Plans an app without a framework. */
export function node(draft: Draft): string[] {
  const own = entryOf(draft);
  if (draft.read(PATH) === SERVER || (!own && isEmpty(draft))) {
    if (draft.read(PATH) === undefined) draft.write(PATH, SERVER);
    setTexts(draft, 'package.json', ['scripts'], SCRIPTS);
    if (draft.manifest.type === 'module') {
      const why = 'what `workflow build` makes is CommonJS';
      draft.byHand.push({ path: 'package.json', why, code: '"type": "commonjs"\n' });
    }
  } else if (!own || !draft.read(own)?.includes('startDelivery(')) {
    const why =
      'init knows no framework here. After `npx workflow build`, do what this server does';
    draft.byHand.push({ path: own ?? PATH, why, code: SERVER });
  }
  return [OUTPUT];
}
