import { Hono } from 'hono';
import { approvals } from '../approvals';

const app = new Hono();

app.post('/api/approvals', async (c) => c.json(await approvals(await c.req.json())));

export default app;
