// An app that serves the SDK's routes at one address, and delivers to itself over HTTP. Ends when its
// standard input ends.
//
//   node app-at.mjs <options of createWorld() as JSON> <host> <port> <folder of a key and a certificate>
//
// Without the last argument it speaks plain HTTP. Prints its port when it listens, and `delivered`
// when its handler has got a message.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';
import { createWorld } from 'hookline';

const [, , options, host, port, certificates] = process.argv;
const world = createWorld({ ...JSON.parse(options), delivery: 'http' });
const route = world.createQueueHandler('__wkf_step_', async () => console.log('delivered'));

async function serve(incoming, outgoing) {
  const parts = [];
  for await (const part of incoming) parts.push(part);
  const { method, headers, url } = incoming;
  // The path is part of the address: only under it the routes are served.
  if (!url.startsWith(`${process.env.APP_BASE_PATH ?? ''}/.well-known/`)) {
    return outgoing.writeHead(404).end();
  }
  const body = method === 'POST' ? Buffer.concat(parts) : undefined;
  const answer = await route(new Request(`http://app${url}`, { method, headers, body }));
  outgoing.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
}

const read = (name) => readFileSync(join(certificates, name));
const server = certificates
  ? createTlsServer({ key: read('key.pem'), cert: read('self-signed.pem') }, serve)
  : createServer(serve);
server.listen(Number(port), host, async () => {
  await world.start();
  console.log(`port ${server.address().port}`);
  await world.queue('__wkf_step_x', { n: 1 });
});
process.stdin.resume().on('end', () => process.exit());
