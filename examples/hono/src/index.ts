import { Hono } from 'hono';
import { getHookByToken, getRun, resumeHook, start } from 'hookline';
import { approval } from '../workflows/approval';

const app = new Hono();

/** Starts a workflow: `{ "invoice": "1001", "amount": 420 }`. */
app.post('/api/approvals', async (c) => {
  const { invoice, amount } = await c.req.json<{ invoice: string; amount: number }>();
  const run = await start(approval, [invoice, amount]);
  return c.json({ runId: run.runId });
});

/** What waits behind a token. */
app.get('/api/approvals/:token', async (c) => {
  const { runId, metadata } = await getHookByToken(c.req.param('token'));
  return c.json({ runId, metadata: await metadata });
});

/** Decides: `{ "approved": true, "by": "Ada" }`. The answer is on disk when this responds. */
app.post('/api/approvals/:token', async (c) => {
  const decision = await c.req.json<{ approved: boolean; by: string }>();
  const { runId } = await resumeHook(c.req.param('token'), decision);
  return c.json({ runId });
});

/** The status of a run, and its result if it has ended. */
app.get('/api/runs/:runId', async (c) => {
  const run = getRun(c.req.param('runId'));
  const status = await run.status;
  return c.json({ status, result: status === 'completed' ? await run.returnValue : undefined });
});

app.onError((error, c) => {
  if (error.name === 'HookNotFoundError') return c.json({ error: 'Hook not found' }, 404);
  console.error(error);
  return c.json({ error: 'Failed' }, 500);
});

export default app;
