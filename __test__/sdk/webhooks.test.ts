/** `resumeWebhook` of this package beside that of `workflow/api`, on the same webhooks. */
import { type App, cleanUp, type Entity, freshData, SDKS, startApp, type Via } from './harness';

interface Outcome {
  value?: string;
  error?: { class: string; name: string; message: string; fields: string };
}

const VIAS: Via[] = ['sdk', 'hookline'];
afterAll(cleanUp);

describe.each(SDKS)('with the SDK %s', (sdk) => {
  let app: App;

  beforeAll(async () => {
    app = await startApp({ data: freshData(), sdk });
  }, 120_000);
  afterAll(() => app?.stop());

  /** A run that waits for its webhook. */
  async function waiting(workflow: string, kind: string): Promise<Entity> {
    const runId = await app.start(workflow, kind);
    return app.ask<Entity>('hookOf', { runId });
  }

  const call = (via: Via, token: string, input: object = {}) =>
    app.ask<Outcome>('webhook', { via, token, ...input });

  const POST = { method: 'POST', headers: { 'x-a': '1' }, body: 'hello' };

  test.each([
    ['at once', 'webhook', 'default', POST, 'status: 202'],
    ['by a step, with status and body', 'webhook', 'manual', POST, 'you said hello'],
    ['with a response that was given', 'answering', 'static', POST, 'teapot'],
    ['a request without a body', 'answering', 'static', { method: 'GET' }, 'status: 418'],
  ])(
    'answers %s as the SDK does, with the same log',
    async (_how, workflow, kind, request, text) => {
      const outcomes: Outcome[] = [];
      const logs: string[][] = [];
      for (const via of VIAS) {
        const { runId, token } = await waiting(workflow, kind);
        outcomes.push(await call(via, token, { request }));
        await app.result(runId);
        logs.push(await app.eventTypes(runId));
      }
      expect(outcomes[1]).toEqual(outcomes[0]);
      expect(outcomes[1]?.value).toContain(text);
      expect(logs[1]).toEqual(logs[0]);
    },
  );

  test('refuses an invalid respondWith with the error of the SDK, and resumes nothing', async () => {
    const outcomes = [];
    for (const via of VIAS) {
      const { runId, token } = await waiting('answering', 'invalid');
      outcomes.push(await call(via, token, { request: POST }));
      expect(await app.eventTypes(runId)).not.toContain('hook_received');
    }
    expect(outcomes[1]).toEqual(outcomes[0]);
    expect(outcomes[1]?.error).toMatchObject({ name: 'WorkflowRuntimeError' });
  });

  test('a hook that the public must not resume looks exactly like an unknown token', async () => {
    const token = 'not a webhook';
    const runId = await app.start('approval', token, 'invoice');
    await app.hooksReady(token);
    const [bySdk, byUs] = [await call('sdk', token), await call('hookline', token)];
    const unknown = await call('hookline', 'unknown token');
    expect(byUs).toEqual(bySdk);
    expect(JSON.parse(JSON.stringify(byUs).replaceAll(token, 'unknown token'))).toEqual(unknown);
    expect(byUs.error).toMatchObject({ name: 'HookNotFoundError' });
    expect(await app.eventTypes(runId)).not.toContain('hook_received');
  });

  test('a run that ends without having answered is an error, for which nobody waits', async () => {
    const { runId, token } = await waiting('answering', 'silent');
    const { error } = await call('hookline', token, { request: POST });
    expect(error).toMatchObject({
      name: 'WorkflowRuntimeError',
      message: expect.stringMatching(/^Workflow run did not send a response/),
    });
    expect(error?.message).toContain('webhook-response-not-sent');
    await expect(app.result(runId)).resolves.toBe('POST');
  });

  test('a manual response has a time limit if one is given; the request is delivered', async () => {
    const { runId, token } = await waiting('answering', 'never');
    const { error } = await call('hookline', token, { request: POST, options: { timeout: 200 } });
    expect(error).toMatchObject({
      class: 'TimeLimitError',
      message: expect.stringContaining('200'),
    });
    expect(await app.eventTypes(runId)).toContain('hook_received');
  });
});
