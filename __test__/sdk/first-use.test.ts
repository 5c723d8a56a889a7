/** Apps without a start line: delivery begins by itself, where the SDK's routes are served. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { ROOT, runNode } from '../support';
import { type App, cleanUp, freshData, SDKS, type Sdk, startApp } from './harness';

afterAll(cleanUp);

const WARNING = 'HOOKLINE_NO_START_LINE';
const NO_LINE = { APP_STARTS: 'never' };
const warnings = (app: App) => app.output.filter((line) => line.includes(WARNING));

/** A server at which a process may believe the app to be; it answers as `app` does, or 404. */
async function listener(app?: App) {
  const asked: IncomingMessage[] = [];
  const server = createServer(async (req, res) => {
    const headers = { 'x-hookline-challenge': String(req.headers['x-hookline-challenge']) };
    const answer = app && (await fetch(app.url + req.url, { method: 'POST', headers }));
    res.writeHead(answer?.status ?? 404, Object.fromEntries(answer?.headers ?? []));
    res.end(await answer?.text());
    asked.push(req);
    server.emit('asked');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    port: String((server.address() as AddressInfo).port),
    asked,
    /** Resolves at the second question: the answer to the first one was no reason to begin. */
    async wasAskedTwice() {
      while (asked.length < 2) await once(server, 'asked');
    },
    close: () => server.close(),
  };
}

test.each<[Sdk, Record<string, string>]>([
  ['workflow', {}],
  ['workflow', { APP_LOADS: 'lazily' }],
  ['workflow-5', {}],
  ['workflow-5', { APP_LOADS: 'lazily' }],
])(
  'a run completes, and the missing line is named once (%s, %j)',
  async (sdk, env) => {
    const app = await startApp({ data: freshData(), sdk, env: { ...NO_LINE, ...env } });
    expect(await app.result(await app.start('parallel', 3))).toEqual(expect.anything());
    expect(await app.result(await app.start('parallel', 3))).toEqual(expect.anything());
    expect(warnings(app)).toHaveLength(1);
  },
  60_000,
);

test.each(SDKS)(
  'after a restart the first use is enough, also one that only reads (%s)',
  async (sdk) => {
    const data = freshData();
    const producer = await startApp({ data, sdk, role: 'producer' });
    const runId = await producer.start('parallel', 3);
    const app = await startApp({ data, sdk, env: NO_LINE });
    expect(await app.result(runId)).toEqual(expect.anything());
  },
  60_000,
);

test('an app with the line is not warned', async () => {
  const app = await startApp({ data: freshData() });
  expect(await app.result(await app.start('parallel', 3))).toEqual(expect.anything());
  expect(app.output).toEqual([]);
}, 60_000);

describe('nothing begins', () => {
  test('in a server that does not serve the routes', async () => {
    const other = await listener();
    const env = { PORT: other.port };
    const app = await startApp({ data: freshData(), role: 'producer', env });
    await app.start('parallel', 3);
    await other.wasAskedTwice();
    expect(warnings(app)).toEqual([]);
    other.close();
  }, 60_000);

  test('in a server when another process answers for the app', async () => {
    const data = freshData();
    const proven = await listener(await startApp({ data }));
    const env = { PORT: proven.port };
    const app = await startApp({ data, role: 'producer', env });
    await app.start('parallel', 3);
    await proven.wasAskedTwice();
    expect(warnings(app)).toEqual([]);
    proven.close();
  }, 60_000);

  test('in a script, which asks nobody', async () => {
    const other = await listener();
    const script = `
      import { resumeHook, start, waitForHook } from 'hookline';
      import { getWorld } from 'workflow/runtime';
      import { start as sdkStart } from 'workflow/api';
      await sdkStart({ workflowId: 'workflow//./a//b' }, []);
      await start({ workflowId: 'workflow//./a//b' }, []);
      await waitForHook('nobody', { timeout: 1000 }).catch(() => undefined);
      console.log((await getWorld().stats()).messages.due);`;
    const ended = await runNode(['--input-type=module', '-e', script], {
      cwd: ROOT,
      env: {
        PATH: process.env.PATH,
        PORT: other.port,
        WORKFLOW_TARGET_WORLD: 'hookline',
        WORKFLOW_HOOKLINE_URL: join(freshData(), 'hookline.db'),
      },
    });
    expect(ended).toMatchObject({ code: 0, stdout: '2\n', stderr: '' });
    expect(other.asked).toEqual([]);
    other.close();
  });

  test.each(['producer', 'reader'])(
    'in the role %s',
    async (role) => {
      const data = freshData();
      await (await startApp({ data })).kill();
      const env = { ...NO_LINE, WORKFLOW_HOOKLINE_ROLE: role };
      const app = await startApp({ data, env });
      const worker = await startApp({ data });
      const runId = await worker.start('parallel', 3);
      expect(await app.result(runId)).toEqual(expect.anything());
      expect(warnings(app)).toEqual([]);
    },
    60_000,
  );
});
