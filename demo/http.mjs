// Node's http server speaking the web's Request and Response. Nothing here is about workflows.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Serves `{ 'METHOD /path/:parameter': (request, parameter) => Response }`. */
export async function listen(routes, onError, port) {
  const table = Object.entries(routes).map(([route, handler]) => {
    const [method, path] = route.split(' ');
    const pattern = new RegExp(`^${path.replaceAll('.', '\\.').replace(/:\w+/, '([^/]+)')}$`);
    return { method, pattern, handler };
  });
  const answer = async (req) => {
    const { pathname } = new URL(req.url, 'http://localhost');
    for (const { method, pattern, handler } of table) {
      const match = method === req.method && pattern.exec(pathname);
      if (match) return handler(toRequest(req), decodeURIComponent(match[1] ?? ''));
    }
    return new Response(null, { status: 404 });
  };
  const server = createServer(async (req, res) => {
    const response = await answer(req).catch(onError);
    await send(res, response).catch(() => res.destroy());
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function toRequest(req) {
  const body = req.method === 'GET' ? {} : { body: Readable.toWeb(req), duplex: 'half' };
  const url = `http://${req.headers.host}${req.url}`;
  return new Request(url, { method: req.method, headers: req.headers, ...body });
}

async function send(res, response) {
  res.writeHead(response.status, Object.fromEntries(response.headers));
  if (!response.body) return res.end();
  await pipeline(Readable.fromWeb(response.body), res);
}
