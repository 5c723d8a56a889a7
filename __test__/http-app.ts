/** An app that gets deliveries over HTTP, for tests that decide what it answers. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { World, WorldOptions } from 'hookline';
import { proofsOf } from './proofs';
import { newDatabase, newWorld, runNode } from './support';

export const FLOW_PREFIX = '__wkf_workflow_';
export const STEP_PREFIX = '__wkf_step_';
export const ATTEMPT = 'x-vqs-message-attempt';
export const HANDLED = 'x-hookline-handled';
export const PROOF = 'x-hookline-proof';
export const CHALLENGE = 'x-hookline-challenge';
export const LIMIT_MS = 40_000;

export const servers: Server[] = [];

/** For `afterEach`: closes all apps. */
export function closeApps(): void {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
}

/** A delivery as the app gets it. */
export interface Asked {
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** The answer of the app, and its proof; the default proof is right. */
export type Answer = { status: number; body: string; handled?: string | null };

export const OK = { status: 200, body: '{"ok":true}' };

export let proofs: ReturnType<typeof proofsOf>;

/** A World; the apps of the test have its database too. */
export function newWorldWithApp(options: WorldOptions = {}): World {
  const url = typeof options.url === 'string' ? options.url : newDatabase();
  proofs = proofsOf(url);
  return newWorld({ ...options, url });
}

/** An app; `requests` are its requests in order, a challenge as `'challenge'`. */
export async function serve(
  answer: (asked: Asked) => Promise<Answer>,
  challenged: Answer | 'none' = OK,
  host = '127.0.0.1',
  port = 0,
) {
  const requests: ('challenge' | Asked)[] = [];
  const server = createServer(async (incoming, outgoing) => {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part);
    const headers = incoming.headers as Record<string, string>;
    const asked = { path: incoming.url as string, headers, body: Buffer.concat(parts).toString() };
    const challenge = headers[CHALLENGE];
    requests.push(challenge ? 'challenge' : asked);
    const answered = challenge ? challenged : await answer(asked);
    if (answered === 'none') return;
    const { status, body } = answered;
    const right = () =>
      challenge ? proofs.ofApp(challenge) : proofs.ofAnswer(headers[PROOF] as string, status, body);
    try {
      const handled = answered.handled === undefined ? right() : answered.handled;
      outgoing.writeHead(status, handled ? { [HANDLED]: handled } : {}).end(body);
    } catch (error) {
      // A World of another test may ask whoever has got its app's port, before there is a database here.
      console.error(error);
      outgoing.destroy();
    }
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const { port: listening } = server.address() as AddressInfo;
  return { baseUrl: `http://127.0.0.1:${listening}`, requests, port: listening };
}

/** Further actions during a delivery. */
export interface During {
  url?: string;
  /** Runs while the handler runs. */
  meanwhile?: (asked: Asked) => Promise<void>;
  /** Runs before the answer is sent. */
  afterwards?: (asked: Asked) => Promise<void>;
}

/**
 * Sends a request to the route of a second process on the database; returns the status, and the
 * handlers that ran.
 */
export async function inAnotherProcess(url: string, { headers, body }: Asked): Promise<string> {
  const script = `
    const { createWorld } = require('hookline');
    const [url, prefix, headers, body] = JSON.parse(process.argv[1]);
    const world = createWorld({ url });
    const route = world.createQueueHandler(prefix, async () => console.log('ran'));
    const request = new Request('http://localhost/', { method: 'POST', headers, body });
    route(request).then((response) => {
      console.log(response.status);
      return world.close();
    });
  `;
  const input = JSON.stringify([url, FLOW_PREFIX, headers, body]);
  const { stdout, stderr } = await runNode(['-e', script, input]);
  return stdout.trim() + stderr;
}

/** A request to the route that {@link serve} would forward, with changes. */
export function forwarded({ headers, body }: Asked, changes: Record<string, string> = {}): Request {
  const url = 'http://localhost/.well-known/workflow/v1/flow';
  return new Request(url, { method: 'POST', headers: { ...headers, ...changes }, body });
}

export async function answerOf(response: Response): Promise<Answer> {
  const handled = response.headers.get(HANDLED);
  return { status: response.status, body: await response.text(), handled };
}
