/**
 * One process with one World and the compiled workflow: `child.mjs API SDK`. API is whose `start` and
 * `resumeHook` are called: `hookline`, or the SDK. SDK is the installed package, `workflow` or, for
 * line 5, `workflow-5`. The World is `WORKFLOW_TARGET_WORLD`'s, as for any app.
 */
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { buildWorkflows } from '../../scripts/build-workflows.mjs';
import { measure, park } from '../load.mjs';
import { obey } from '../rpc.mjs';

/** A resume comes long after its hook, whose delivery has ended by then. */
const SETTLE_MS = 3;
const ROUTES = '/.well-known/workflow/v1/';
const [, , from, sdk = 'workflow'] = process.argv;
const api = await import(from === 'hookline' ? from : `${sdk}/api`);
const { getWorld } = await import(`${sdk}/runtime`);
const bundles = await buildWorkflows(fileURLToPath(new URL('.', import.meta.url)), {
  sdk: fileURLToPath(new URL(`../../node_modules/${sdk}/package.json`, import.meta.url)),
});
/** Line 4 writes CommonJS, and a second route for steps. */
const routes = {};
for (const file of await readdir(bundles)) {
  const [, name] = file.match(/^(flow|step)\.m?js$/) ?? [];
  if (name) routes[name] = await import(join(bundles, file));
}
const { workflows } = JSON.parse(await readFile(join(bundles, 'manifest.json'), 'utf8'));
const { lifecycle: workflow } = Object.assign({}, ...Object.values(workflows));

/** Who waits for a token's step, or for an event of a run. */
const waiting = new Map();
const world = await getWorld();
tellEvents(world.events);
globalThis.stepStarted = (token) => tell(`step ${token}`);

const commands = { parkOthers, toStep, lifecycles, startRun, resumeRun, awaitHook, awaitStep };
// A process that only calls must not find routes of its own: it would begin to deliver.
if (process.env.BENCH_CALLS_ONLY) obey(commands, () => world.close?.());
else serveAndObey();

function serveAndObey() {
  const server = createServer((req, res) => serve(req, res).catch(() => res.destroy()));
  server.listen(0, '127.0.0.1', async () => {
    process.env.PORT = String(server.address().port);
    // Line 5 registers its handler at the first request.
    await routes.flow.POST(new Request(`http://localhost${ROUTES}flow`, { method: 'POST' }));
    await world.start?.();
    obey(commands, async () => {
      server.closeAllConnections();
      server.close();
      await world.close?.();
    });
  });
}

/** Fewer at once than for a benchmark of Hookline alone: world-local reads the files of all hooks. */
function parkOthers({ count }) {
  return park(world, count, 16);
}

/** Starts a run that other processes take further. */
async function startRun({ token }) {
  const { runId } = await api.start({ workflowId: workflow.workflowId }, [token]);
  return { runId };
}

/** Resumes a run of any process. Times are those of the host. */
async function resumeRun({ token }) {
  const calledAt = performance.timeOrigin + performance.now();
  await api.resumeHook(token, { approved: true });
  return { calledAt };
}

/** Resolves when this process has made the hook. */
async function awaitHook({ token }) {
  await told(`hook ${token}`);
}

/** Resolves when this process has taken the run through its step to its end. */
async function awaitStep({ token, runId }) {
  const completed = told(`run ${runId}`);
  const startedAt = performance.timeOrigin + (await told(`step ${token}`));
  await completed;
  return { startedAt };
}

/** From the call of `resumeHook` until it resolves, and to the start of the step, one run at a time. */
async function toStep({ count }) {
  const took = [];
  const acknowledged = [];
  for (let done = 0; done < count; done += 1) {
    const token = await parked();
    await pause(SETTLE_MS);
    const started = told(`step ${token.text}`);
    const called = performance.now();
    const resumed = api.resumeHook(token.text, { approved: true }).then(() => performance.now());
    took.push((await started) - called);
    acknowledged.push((await resumed) - called);
    await token.completed;
  }
  const of = (samples, share) => samples.sort((a, b) => a - b)[Math.floor(count * share)];
  return { p50Ms: of(took, 0.5), p99Ms: of(took, 0.99), acknowledgedMs: of(acknowledged, 0.5) };
}

/** Whole lives: started, parked, resumed, its step run, completed. */
async function lifecycles({ inFlight, count }) {
  const { perSecond } = await measure(inFlight, count, async () => {
    const token = await parked();
    await api.resumeHook(token.text, { approved: true });
    await token.completed;
  });
  return { perSecond };
}

let lastToken = 0;

/** A run that waits at its hook. */
async function parked() {
  lastToken += 1;
  const text = `bench:${process.pid}:${lastToken}`;
  const hookCreated = told(`hook ${text}`);
  const run = await api.start({ workflowId: workflow.workflowId }, [text]);
  await hookCreated;
  return { text, completed: told(`run ${run.runId}`) };
}

function told(what) {
  return new Promise((resolve) => waiting.set(what, resolve));
}

function tell(what) {
  waiting.get(what)?.(performance.now());
  waiting.delete(what);
}

/** The runtime's own calls say when a hook is there and when a run has ended, in every World alike. */
function tellEvents(events) {
  const { create } = events;
  events.create = async (runId, event, options) => {
    const result = await create(runId, event, options);
    if (event.eventType === 'hook_created') tell(`hook ${event.eventData.token}`);
    if (event.eventType === 'run_completed') tell(`run ${runId}`);
    return result;
  };
}

async function serve(req, res) {
  const name = req.url.startsWith(ROUTES) ? req.url.slice(ROUTES.length).split(/[/?]/)[0] : '';
  const handler = routes[name]?.[req.method];
  const bodyless = req.method === 'GET' || req.method === 'HEAD';
  const request = new Request(`http://${req.headers.host}${req.url}`, {
    method: req.method,
    headers: req.headers,
    ...(bodyless ? {} : { body: Readable.toWeb(req), duplex: 'half' }),
  });
  const response = handler ? await handler(request) : new Response(null, { status: 404 });
  res.writeHead(response.status, Object.fromEntries(response.headers));
  res.end(Buffer.from(await response.arrayBuffer()));
}
