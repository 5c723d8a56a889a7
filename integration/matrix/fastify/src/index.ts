import Fastify from 'fastify';
import { approvals } from '../approvals';

const app = Fastify();

app.post('/api/approvals', (request) => approvals(request.body as { invoice: string }));

await app.ready();

export default app.routing;
