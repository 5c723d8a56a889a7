/** `resumeWebhook` without real workflows: refusals, static answers, and a database that fails. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { HookNotFoundError, resumeWebhook, type World } from 'hookline';
import {
  devalue,
  eventTypes,
  newFolder,
  newHook,
  runNode,
  useAsSdkWorld,
  worldPerTest,
} from './support';

let world: World;
let url: string;
const post = () => new Request('http://app/hook', { method: 'POST', body: 'hello' });

worldPerTest((made) => {
  ({ world, url } = made);
});

test('a webhook without respondWith is answered with 202 and no body', async () => {
  const { runId } = await newHook(world, 'token', { isWebhook: true });
  const response = await resumeWebhook('token', post());
  expect(response).toBeInstanceOf(Response);
  expect([response.status, await response.text()]).toEqual([202, '']);
  expect((await eventTypes(world, runId)).at(-1)).toBe('hook_received');
});

test('a hook that is no webhook is refused like an unknown token, whatever its metadata is', async () => {
  const metadata = new TextEncoder().encode('not readable at all');
  const { runId } = await newHook(world, 'token', { isWebhook: false, metadata });
  const error = await resumeWebhook('token', post()).catch((reason) => reason);
  expect(error).toBeInstanceOf(HookNotFoundError);
  expect(error.token).toBe('token');
  expect((await eventTypes(world, runId)).at(-1)).toBe('hook_created');
});

test('an invalid respondWith is an error before anything is written', async () => {
  const metadata = devalue('[{"respondWith":1},42]');
  const { runId } = await newHook(world, 'token', { isWebhook: true, metadata });
  await expect(resumeWebhook('token', post())).rejects.toMatchObject({
    name: 'WorkflowRuntimeError',
    message: expect.stringContaining('webhook-invalid-respond-with-value'),
  });
  expect((await eventTypes(world, runId)).at(-1)).toBe('hook_created');
});

test('a database that cannot be used is not a webhook that does not exist', async () => {
  await newHook(world, 'token', { isWebhook: true });
  await world.close();
  await expect(resumeWebhook('token', post())).rejects.toMatchObject({
    name: 'WorkflowWorldError',
    code: 'CLOSED',
    status: 503,
  });
  useAsSdkWorld(undefined);
  const folder = join(newFolder(), 'a-folder');
  mkdirSync(folder);
  process.env.WORKFLOW_HOOKLINE_URL = folder;
  const error = await resumeWebhook('token', post()).catch((reason) => reason);
  expect(error.name).toBe('WorkflowWorldError');
  expect(error.status).toBeGreaterThanOrEqual(500);
});

test('what is no token or no time limit is refused', async () => {
  await expect(resumeWebhook(7 as never, post())).rejects.toBeInstanceOf(TypeError);
  await expect(resumeWebhook('', post())).rejects.toMatchObject({ name: 'HookNotFoundError' });
  const refused = resumeWebhook('token', post(), { timeout: Number.NaN });
  await expect(refused).rejects.toMatchObject({ status: 400 });
});

test('a manual webhook whose World is closed meanwhile rejects', async () => {
  const warn = jest.spyOn(console, 'warn').mockImplementation(() => undefined);
  const metadata = devalue('[{"respondWith":1},"manual"]');
  const { runId } = await newHook(world, 'token', { isWebhook: true, metadata });
  const answer = resumeWebhook('token', post());
  answer.catch(() => undefined);
  while ((await eventTypes(world, runId)).at(-1) !== 'hook_received') await breathe();
  await world.close();
  await expect(answer).rejects.toMatchObject({ name: 'WorkflowWorldError', code: 'CLOSED' });
  warn.mockRestore();
});

const breathe = () => new Promise((next) => setImmediate(next));

test('a manual webhook whose run ends in the same moment leaves nothing behind that waits', async () => {
  const metadata = devalue('[{"respondWith":1},"manual"]');
  const { runId } = await newHook(world, 'token', { isWebhook: true, metadata });
  const script = `
    const { createWorld, resumeWebhook } = require('./dist/index.js');
    const { NativeWorld } = require('./native/binding.js');
    const { resumeHook } = NativeWorld.prototype;
    NativeWorld.prototype.resumeHook = async function (request, payload) {
      const cancelled = { eventType: 'run_cancelled', specVersion: 3 };
      await createWorld().events.create(JSON.parse(request).runId, cancelled);
      return resumeHook.call(this, request, payload);
    };
    const request = new Request('http://app/hook', { method: 'POST', body: 'hello' });
    resumeWebhook('token', request).catch((error) => console.log(error.name));
  `;
  const env = { ...process.env, WORKFLOW_HOOKLINE_URL: url };
  // The process ends by itself only when no stream is read from any more.
  const ended = await runNode(['-e', script], { env, timeout: 20_000 });
  expect(ended).toMatchObject({ code: 0, stdout: 'HookNotFoundError\n' });
  expect((await eventTypes(world, runId)).at(-1)).toBe('run_cancelled');
});
