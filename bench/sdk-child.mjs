/** One process with one of the SDK's own Worlds, called as the SDK does it: `sdk-child.mjs SIZE`. */
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { getHookByToken, resumeHook } from 'workflow/api';
import { getWorld } from 'workflow/runtime';
import { measure, park, payload, tokens } from './load.mjs';
import { obey } from './rpc.mjs';

// Its World delivers by itself, and would try again what nobody takes.
const server = createServer((_, response) => response.end('{}')).listen(0, '127.0.0.1');
await new Promise((listening) => server.once('listening', listening));
process.env.PORT = String(server.address().port);
const size = Number(process.argv[2]);
const world = await getWorld();
const nextToken = tokens(size);

obey(
  {
    park: () => park(world, size, 16),
    resume: ({ inFlight, count }) =>
      measure(inFlight, count, () => resumeHook(nextToken(), payload())),
    lookUp: ({ count }) => measure(1, count, () => getHookByToken(nextToken())),
    trips,
  },
  async () => {
    server.close();
    await world.close?.();
  },
);

/** The least that a promise of an answer of the server costs: a prepared `SELECT 1` by the driver `pg`. */
async function trips({ count }) {
  const fromWorld = createRequire(join(process.env.WORKFLOW_TARGET_WORLD, 'package.json'));
  const client = new (fromWorld('pg').Client)(process.env.WORKFLOW_POSTGRES_URL);
  await client.connect();
  try {
    return await measure(1, count, () => client.query({ name: 'trip', text: 'SELECT 1' }));
  } finally {
    await client.end();
  }
}
