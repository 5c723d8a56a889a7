// An application with durable workflows: plain Node, no framework, no other service.
//
//   npx workflow build
//   WORKFLOW_TARGET_WORLD=hookline node server.mjs

import { createRequire } from 'node:module';
import { getHookByToken, resumeHook } from 'hookline';
import { getRun, start } from 'workflow/api';
import { getWorld } from 'workflow/runtime';
import { listen } from './http.mjs';

// What `workflow build` made of workflows/. Frameworks with an SDK plugin do this part for you.
const require = createRequire(import.meta.url);
const flow = require('./.well-known/workflow/v1/flow.js');
const step = require('./.well-known/workflow/v1/step.js');
const manifest = require('./.well-known/workflow/v1/manifest.json');
const { approval } = manifest.workflows['workflows/approval.ts'];

const routes = {
  'POST /approvals': async (request) => {
    const run = await start(approval, [await request.json()]);
    return Response.json({ runId: run.runId }, { status: 201 });
  },

  'GET /approvals/:token': async (_request, token) => {
    const hook = await getHookByToken(token);
    return Response.json({ runId: hook.runId, metadata: hook.metadata });
  },

  'POST /approvals/:token': async (request, token) => {
    const hook = await resumeHook(token, await request.json());
    // From here on the decision is on disk: the server may be killed now and nothing is lost.
    return Response.json({ runId: hook.runId, hookId: hook.hookId });
  },

  'GET /runs/:runId': async (_request, runId) => {
    const run = getRun(runId);
    const status = await run.status;
    const result = status === 'completed' ? await run.returnValue : undefined;
    return Response.json({ status, result });
  },

  // Only needed when messages are delivered over HTTP; here they are handed over in the process.
  'POST /.well-known/workflow/v1/flow': flow.POST,
  'POST /.well-known/workflow/v1/step': step.POST,
};

/** An unknown token is the caller's mistake. Every other error is ours. */
function onError(error) {
  if (error instanceof Error && error.name === 'HookNotFoundError') {
    return Response.json({ error: 'Hook not found' }, { status: 404 });
  }
  console.error(error);
  return Response.json({ error: 'Internal error' }, { status: 500 });
}

const server = await listen(routes, onError, Number(process.env.PORT ?? 0));

// Begins to deliver: new messages, and those a previous process left behind.
await getWorld().start();
console.log(`listening on http://127.0.0.1:${server.address().port}`);

process.on('SIGTERM', async () => {
  server.close();
  server.closeAllConnections();
  await getWorld().close();
});
