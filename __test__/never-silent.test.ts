/**
 * For each way in which nothing is delivered: the same sentence in a warning of the process that
 * waits, in the time-out of `waitForHook`, in `stats()`, in `hookline doctor` and in `explain`.
 */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WorldOptions, WorldStats } from 'hookline';
import { hooklineJson } from './command-line';
import { pauseBetweenWrites } from './crash/harness';
import { killScripts, startScript } from './live-script';
import { childEnv, cleanUp, newDatabase, runNode } from './support';

const TEST_LIMIT_MS = 120_000;

const servers: Server[] = [];

afterAll(async () => {
  killScripts();
  for (const server of servers) server.close().closeAllConnections();
  await cleanUp();
});

const ENV = childEnv({
  PORT: '',
  WORKFLOW_LOCAL_BASE_URL: '',
  WORKFLOW_TARGET_WORLD: 'hookline',
});

type How = 'hangs' | 'lacksSteps' | 'nothing';

/** A worker on the database, once it is ready. */
async function worker(url: string, options: WorldOptions, how: How = 'nothing') {
  const args = [JSON.stringify({ url, ...options }), how];
  const script = startScript('silent-worker.mjs', args, ENV);
  await script.line('ready');
  return script;
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** An address where no server is. */
async function nowhere(): Promise<string> {
  const url = await serve(() => undefined);
  const server = servers.pop() as Server;
  await new Promise((closed) => server.close(closed));
  return url;
}

interface Said {
  warnings: { code: string; message: string }[];
  timeOut: string;
  stalled: NonNullable<WorldStats['stalled']>;
  doctor: { code: number | null; found: string };
  explain: string;
}

/**
 * What everybody says of a run that another process starts; `meanwhile` may act once it has
 * started.
 */
async function said(
  url: string,
  role: WorldOptions['role'] = 'producer',
  meanwhile?: () => Promise<void>,
): Promise<Said> {
  const waiter = startScript('silent-waiter.mjs', [url, String(role)], ENV);
  const runId = await waiter.line('wrun_');
  await meanwhile?.();
  const own = JSON.parse(await waiter.line('{'));
  const ask = async (...args: string[]) => {
    const { code, value, stderr } = await hooklineJson(['--url', url, ...args], { env: ENV });
    if (value === undefined) throw new Error(stderr);
    return { code, value };
  };
  const doctor = await ask('doctor');
  const { found, fix } =
    doctor.value.findings.find(({ what }: { what: string }) => what === 'Deliveries') ?? {};
  const explained = await ask('explain', runId);
  waiter.child.kill('SIGKILL');
  return {
    ...own,
    doctor: { code: doctor.code, found: fix ? `${found}: ${fix}` : found },
    explain: explained.value.next.map(({ what }: { what: string }) => what).join('\n'),
  };
}

/** A sentence without the time that has passed. */
const timeless = (text: string) => text.replace(/ (the oldest )?for \d+ (ms|s|min)/g, '');

/** Checks that all say the same, of this cause, and that it holds this. */
function expectSaid(
  { warnings, timeOut, stalled, doctor, explain }: Said,
  cause: string,
  part: RegExp,
) {
  const sentence = timeless(stalled.message);
  expect(stalled.cause).toBe(cause);
  expect(sentence).toMatch(part);
  const opening = cause === 'held' ? '' : 'Nothing is delivered: ';
  expect(warnings.map(({ code, message }) => [code, timeless(message)])).toEqual([
    ['HOOKLINE_STALLED', `${opening}${sentence}.`],
  ]);
  expect(timeless(timeOut)).toContain(sentence);
  expect(timeOut).not.toContain('secret-token');
  expect({ ...doctor, found: timeless(doctor.found) }).toEqual({ code: 4, found: sentence });
  expect(timeless(explain)).toContain(sentence);
}

const NO_WORKER = /no process delivers from this database: start the app; .*startDelivery/;

describe('nothing is delivered, and everybody says why, when', () => {
  test.concurrent(
    'the start line is forgotten',
    async () => {
      expectSaid(await said(newDatabase()), 'noWorker', NO_WORKER);
    },
    TEST_LIMIT_MS,
  );

  test.concurrent(
    'there are only producers',
    async () => {
      const url = newDatabase();
      await worker(url, { role: 'producer' });
      expectSaid(await said(url), 'noWorker', /in the role all or worker/);
    },
    TEST_LIMIT_MS,
  );

  test.concurrent(
    'a proxy redirects to a login',
    async () => {
      const url = newDatabase();
      const baseUrl = await serve((_request, response) => {
        response.writeHead(307, { location: '/login?next=%2Fsecret' }).end();
      });
      const { pid } = await worker(url, { delivery: 'http', baseUrl });
      const all = await said(url);
      expectSaid(all, 'app', /answers HTTP 307, a redirect to \/login, without the proof/);
      expect(all.stalled.message).toContain(`process ${pid} `);
      expect(all.stalled.message).toContain('let /.well-known/workflow/ through');
    },
    TEST_LIMIT_MS,
  );

  test.concurrent(
    'a proxy answers with a page',
    async () => {
      const url = newDatabase();
      const baseUrl = await serve((_request, response) => {
        response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>');
      });
      await worker(url, { delivery: 'http', baseUrl });
      expectSaid(await said(url), 'app', /answers HTTP 200, a web page, without the proof/);
    },
    TEST_LIMIT_MS,
  );

  test.concurrent(
    'the address of the app is wrong',
    async () => {
      const url = newDatabase();
      const baseUrl = await nowhere();
      await worker(url, { delivery: 'http', baseUrl });
      const part = /http:\/\/127\.0\.0\.1:\d+ cannot be reached: .*WORKFLOW_HOOKLINE_BASE_URL/;
      expectSaid(await said(url), 'app', part);
    },
    TEST_LIMIT_MS,
  );

  test.concurrent(
    'the process that waits is itself the worker, and has no server',
    async () => {
      expectSaid(
        await said(newDatabase(), 'all'),
        'app',
        /this process has no server that listens/,
      );
    },
    TEST_LIMIT_MS,
  );

  test.concurrent(
    'the worker was killed while it delivered',
    async () => {
      const url = newDatabase();
      const { child, line } = await worker(url, { delivery: 'direct' }, 'hangs');
      const kill = async () => {
        await line('took');
        child.kill('SIGKILL');
      };
      expectSaid(await said(url, 'producer', kill), 'noWorker', NO_WORKER);
    },
    TEST_LIMIT_MS,
  );

  const onLinux = process.platform === 'linux' ? test.concurrent : test.concurrent.skip;
  onLinux(
    'the worker is paused',
    async () => {
      const url = newDatabase();
      const { child, pid } = await worker(url, { delivery: 'direct' }, 'hangs');
      await pauseBetweenWrites(child);
      const part = new RegExp(`process ${pid} is paused: continue it with kill -CONT ${pid}`);
      expectSaid(await said(url), 'paused', part);
    },
    TEST_LIMIT_MS,
  );

  test.concurrent(
    'the worker has no handler, and may ask no app',
    async () => {
      const url = newDatabase();
      await worker(url, { delivery: 'direct' });
      expectSaid(await said(url), 'noHandler', /no handler for replays and steps/);
    },
    TEST_LIMIT_MS,
  );

  test.concurrent(
    'the handlers are of other code',
    async () => {
      const url = newDatabase();
      await worker(url, { delivery: 'direct' }, 'lacksSteps');
      expectSaid(
        await said(url),
        'held',
        /1 message is held, because no living worker has the code/,
      );
    },
    TEST_LIMIT_MS,
  );
});

test('a wait that fails at once fails alone, and leaves no rejection that nobody handles', async () => {
  const script = `
    const { createWorld, waitForHook } = require('hookline');
    const world = createWorld({ role: 5 });
    globalThis[Symbol.for('@workflow/world//cache')] = world;
    waitForHook('token').catch(({ code }) => console.log(code));
  `;
  const { code, stdout, stderr } = await runNode(['-e', script], { env: ENV });
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'BAD_CONFIG\n', stderr: '' });
});

test('a started run keeps no process alive, not even for the look whether it is delivered', async () => {
  const script = `
    const { createWorld, start } = require('hookline');
    globalThis[Symbol.for('@workflow/world//cache')] = createWorld({ url: process.argv[1] });
    globalThis.setTimeout = () => 1; // as in a simulated browser
    start({ workflowId: 'workflow//./orders//order' }, []).then(() => console.log('started'));
  `;
  const { code, stdout, stderr } = await runNode(['-e', script, newDatabase()], { env: ENV });
  // If it lived until the look, it would be warned.
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'started\n', stderr: '' });
});
