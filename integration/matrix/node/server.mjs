import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { resumeHook, start, startDelivery } from 'hookline';

await startDelivery();

// What `workflow build` has made of workflows/.
const load = createRequire(import.meta.url);
const flow = load('./.well-known/workflow/v1/flow.js');
const step = load('./.well-known/workflow/v1/step.js');
const { workflows } = load('./.well-known/workflow/v1/manifest.json');
const { approval } = workflows['workflows/approval.ts'];

async function approvals(request) {
  const { invoice, approved } = await request.json();
  if (approved === undefined) {
    return Response.json({ runId: (await start(approval, [invoice])).runId });
  }
  return Response.json({ runId: (await resumeHook(`invoice-${invoice}`, { approved })).runId });
}

const routes = {
  '/api/approvals': approvals,
  '/.well-known/workflow/v1/flow': flow.POST,
  '/.well-known/workflow/v1/step': step.POST,
};

createServer(async (req, res) => {
  const { url, method, headers } = req;
  const address = new URL(url, 'http://localhost');
  const route = method === 'POST' && routes[address.pathname];
  if (!route) return res.writeHead(404).end();
  const response = await route(
    new Request(address, { method, headers, body: req, duplex: 'half' }),
  );
  res.writeHead(response.status, Object.fromEntries(response.headers));
  res.end(await response.text());
}).listen(process.env.PORT ?? 3000);
