/**
 * The app gets its messages wherever it listens: its own sockets are asked, and variables are
 * hints.
 */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { until } from './crash/harness';
import { killScripts, startScript } from './live-script';
import { childEnv, cleanUp, newDatabase, newFolder, newWorld, ROOT, runNode } from './support';

const LIMIT_MS = 30_000;
const CERTIFICATES = join(ROOT, 'tests', 'fixtures', 'tls');

afterEach(async () => {
  killScripts();
  await cleanUp();
});

interface At {
  host: string;
  port?: number;
  certificates?: string;
  env?: Record<string, string>;
  options?: object;
  url?: string;
}

/** Starts an app, and resolves when it listens. */
async function appAt({ host, port = 0, certificates, env, options, url = newDatabase() }: At) {
  const args = [JSON.stringify({ url, ...options }), host, String(port)];
  if (certificates) args.push(certificates);
  const variables = { PORT: '', WORKFLOW_LOCAL_BASE_URL: '', ...env };
  const { line, lines } = startScript('app-at.mjs', args, variables);
  const listens = Number((await line('port ')).slice('port '.length));
  return { url, port: listens, delivered: () => line('delivered'), lines };
}

/** A port that is free on all addresses. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((ready) => server.listen(0, ready));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
const outward = all.find(({ internal, family }) => !internal && family === 'IPv4')?.address;
const hosts = [
  ['the loopback address', '127.0.0.1'],
  ...(all.some(({ address }) => address === '::1') ? [['::1 only', '::1']] : []),
  ...(process.platform === 'linux' ? [['another loopback address', '127.0.0.7']] : []),
  ...(outward ? [['one interface', outward]] : []),
  ['all addresses', '0.0.0.0'],
] as [string, string][];

describe.each(hosts)('an app on %s', (_name, host) => {
  test('gets its messages while PORT is set', async () => {
    const port = await freePort();
    const { delivered } = await appAt({ host, port, env: { PORT: String(port) } });
    await delivered();
  });

  test('is found by another process of this host, by PORT', async () => {
    const url = newDatabase();
    // The role keeps the app from delivering by itself.
    const { port, delivered } = await appAt({ host, url, options: { role: 'producer' } });
    process.env.PORT = String(port);
    try {
      await newWorld({ url, delivery: 'http' }).start();
      await delivered();
    } finally {
      delete process.env.PORT;
    }
  });
});

test('an app gets its messages although PORT and the base URL of the SDK name other addresses', async () => {
  const env = { PORT: '1', WORKFLOW_LOCAL_BASE_URL: 'https://elsewhere.invalid' };
  await (await appAt({ host: '127.0.0.1', env })).delivered();
  const pipe = { PORT: '\\\\.\\pipe\\app' };
  await (await appAt({ host: '127.0.0.1', env: pipe })).delivered();
});

test('a configured base URL replaces the own sockets, and its failure is said', async () => {
  const baseUrl = `http://127.0.0.1:${await freePort()}`;
  const { url, lines } = await appAt({ host: '127.0.0.1', options: { baseUrl } });
  const reader = newWorld({ url, role: 'reader' });
  await until('the reason', LIMIT_MS, async () => {
    const { stalled } = await reader.stats();
    return stalled?.cause === 'app' && stalled.message.includes(`${baseUrl} cannot be reached`);
  });
  expect(lines).not.toContain('delivered');
});

describe('TLS', () => {
  const tls = { host: '127.0.0.1', certificates: CERTIFICATES };

  test('is recognised at the own socket, whatever its certificate', async () => {
    await (await appAt(tls)).delivered();
    const port = await freePort();
    const env = { PORT: String(port) };
    await (await appAt({ ...tls, port, env })).delivered();
  });

  test.each(['http', 'https'])(
    'is spoken to an address of this host, configured by %s',
    async (scheme) => {
      const port = await freePort();
      const baseUrl = `${scheme}://localhost:${port}/desk`;
      const env = { APP_BASE_PATH: '/desk' };
      await (await appAt({ ...tls, port, env, options: { baseUrl } })).delivered();
    },
  );

  test('that is not spoken where https is configured is said', async () => {
    const port = await freePort();
    const baseUrl = `https://127.0.0.1:${port}`;
    const { url } = await appAt({ host: '127.0.0.1', port, options: { baseUrl } });
    const reader = newWorld({ url, role: 'reader' });
    await until('the reason', LIMIT_MS, async () =>
      Boolean((await reader.stats()).stalled?.message.includes('no TLS connection')),
    );
  });
});

test('an https URL comes with the certificates that Node trusts, and another with none', async () => {
  const outfile = join(newFolder(), 'app-address.cjs');
  const entryPoints = [join(ROOT, 'ts', 'engine', 'app-address.ts')];
  buildSync({ entryPoints, bundle: true, platform: 'node', format: 'cjs', outfile });
  const script = 'console.log(require(process.argv[1]).appAddress({ baseUrl: process.argv[2] }))';
  const NODE_EXTRA_CA_CERTS = join(CERTIFICATES, 'authority.pem');
  const env = childEnv({ PORT: '', NODE_EXTRA_CA_CERTS });
  const addressOf = async (url: string) => {
    const { stdout, stderr } = await runNode(['-e', script, outfile, url], { env });
    expect(stderr).toBe('');
    return JSON.parse(stdout);
  };
  expect(await addressOf('http://app.internal')).toEqual({});
  const { authorities, anyCertificate } = await addressOf('https://app.internal');
  const base64 = (text: string) => text.replace(/-----.*-----|\s/g, '');
  expect(authorities.map(base64)).toContain(base64(readFileSync(NODE_EXTRA_CA_CERTS, 'utf8')));
  expect(authorities.length).toBeGreaterThan(50);
  expect(anyCertificate).toBe(false);
});
