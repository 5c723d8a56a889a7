// Requests of several users, each in an asynchronous context of its own (a session, a tenant),
// where the first request initialises everything. Prints which context each piece of code saw.
//
//   node requests.mjs <database> <delivery>

import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { buildWorkflows } from '../../scripts/build-workflows.mjs';

const [, , database, delivery] = process.argv;
Object.assign(process.env, {
  WORKFLOW_TARGET_WORLD: 'hookline',
  WORKFLOW_HOOKLINE_URL: database,
  WORKFLOW_HOOKLINE_DELIVERY: delivery,
});

const requests = new AsyncLocalStorage();
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
const spans = ['ada', 'bob', 'eve'].map((user, index) => ({
  user,
  span: trace.wrapSpanContext({
    traceId: String(index + 1).repeat(32),
    spanId: String(index + 1).repeat(16),
    traceFlags: 1,
  }),
}));

/** Does a request's work as its user, within the user's span. */
function as(user, work) {
  const { span } = spans.find((known) => known.user === user);
  return requests.run({ user }, () => context.with(trace.setSpan(context.active(), span), work));
}
const user = () => requests.getStore()?.user ?? null;
/** The user of the current trace. */
const traced = () => {
  const traceId = trace.getSpanContext(context.active())?.traceId;
  return spans.find(({ span }) => span.spanContext().traceId === traceId)?.user ?? null;
};
// The contexts that the steps read.
globalThis.whose = () => ({ request: user(), trace: traced() });

const bundles = await buildWorkflows(fileURLToPath(new URL('../fixtures', import.meta.url)));
const routes = {};
const server = createServer(async (req, res) => {
  const name = req.url.split('/').at(-1).split('?')[0];
  const body = req.method === 'POST' ? { body: Readable.toWeb(req), duplex: 'half' } : {};
  const request = new Request(`http://app${req.url}`, {
    method: req.method,
    headers: req.headers,
    ...body,
  });
  const response = await routes[name][req.method](request);
  res.writeHead(response.status, Object.fromEntries(response.headers));
  res.end(Buffer.from(await response.arrayBuffer()));
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
process.env.PORT = String(server.address().port);

// The first request of all loads everything, and opens and starts the World.
const { getWorld, hookline } = await as('ada', async () => {
  const require = createRequire(import.meta.url);
  const { getWorld } = await import('workflow/runtime');
  routes.flow = require(join(bundles, 'flow.js'));
  routes.step = require(join(bundles, 'step.js'));
  await getWorld().start();
  return { getWorld, hookline: await import('hookline') };
});
const manifest = createRequire(import.meta.url)(join(bundles, 'manifest.json'));
const { workflowId } = Object.values(manifest.workflows)
  .flatMap((file) => Object.entries(file))
  .find(([name]) => name === 'seenBySteps')[1];

const report = { steps: {}, callers: {} };
for (const name of ['ada', 'bob', 'eve']) {
  const callers = [];
  const note = (what) => callers.push([what, user(), traced()]);
  report.callers[name] = callers;
  await as(name, async () => {
    const token = `of ${name}`;
    const waiting = hookline
      .waitForHook(token, { timeout: 60_000 })
      .then(() => note('waitForHook'));
    const run = await hookline.start({ workflowId }, [token]);
    note('start');
    const values = readAll(run.getReadable(), note);
    await waiting;
    await hookline.resumeHook(token, 'resumed');
    note('resumeHook');
    await hookline.getHookByToken('nobody').catch(() => note('rejected'));
    await Promise.all([getWorld().runs.list(), getWorld().events.list({ runId: run.runId })]);
    note('lists');
    report.steps[name] = { ...(await run.returnValue), written: await values };
    note('returnValue');
    await getWorld().runs.waitForTerminalStatus(run.runId);
    note('waitForTerminalStatus');
  });
}

// A handler that enters a context and never leaves it.
const world = hookline.createWorld();
const entered = [];
await as('ada', async () => {
  let last;
  const done = new Promise((resolve) => {
    last = resolve;
  });
  world.createQueueHandler('__wkf_step_own', async () => {
    entered.push(user());
    requests.enterWith({ user: 'mallory' });
    if (entered.length === 3) last();
  });
  await world.start();
  if (delivery === 'direct') {
    for (let n = 0; n < 3; n += 1) await world.queue(`__wkf_step_own${n}`, { n });
    await done;
  }
});
report.entered = entered;

// The app's own listener, beside the World's listener from the first request.
report.signal = await new Promise((resolve) => {
  process.once('SIGTERM', () => resolve(user()));
  process.kill(process.pid, 'SIGTERM');
});

await as('bob', () => world.close());
await getWorld().close();
server.close();
server.closeAllConnections();
process.stdout.write(JSON.stringify(report));

async function readAll(stream, note) {
  const values = [];
  for await (const value of stream) values.push(value);
  note('stream');
  return values;
}
