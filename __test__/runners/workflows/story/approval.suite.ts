// The tests as the SDK's documentation tells people to write them: with its own functions, and with
// the imports replaced by ours.
import * as hookline from 'hookline';
import * as sdk from 'workflow/api';
import { approval, family, ingest } from '../workflows/approval';
import { waitForHook, waitForSleep } from './helpers';

describe.each([
  ['workflow/api', sdk],
  ['hookline', hookline as unknown as typeof sdk],
])('by %s', (by, { getHookByToken, getRun, resumeHook, resumeWebhook, start }) => {
  const token = (document: string) => `approval:${document}`;

  test('a run waits for its hook, sleeps, is woken up and ends', async () => {
    const document = `doc-1 ${by}`;
    const run = await start(approval, [document]);
    const hook = await waitForHook(run, { token: token(document) });
    expect(hook.runId).toBe(run.runId);
    expect(await (await getHookByToken(token(document))).metadata).toEqual({ document });
    await resumeHook(token(document), { approved: true, by: 'Ada' });
    const sleepId = await waitForSleep(run);
    await getRun(run.runId).wakeUp({ correlationIds: [sleepId] });
    expect(await run.returnValue).toEqual({ status: `published ${document}`, by: 'Ada' });
    expect(await run.status).toBe('completed');
  });

  test('another run does not sleep', async () => {
    const document = `doc-2 ${by}`;
    const run = await start(approval, [document]);
    const { token } = await waitForHook(run);
    await resumeHook(token, { approved: false, by: 'Bob' });
    expect(await run.returnValue).toEqual({ status: 'rejected', by: 'Bob' });
  });

  test('a webhook gets a request', async () => {
    const run = await start(ingest, []);
    const { token } = await waitForHook(run);
    const request = new Request('https://example.com/hook', { method: 'POST', body: 'hello' });
    expect((await resumeWebhook(token, request)).status).toBe(202);
    expect(await run.returnValue).toBe('hello');
  });

  test('a step starts another run, and waits for it', async () => {
    const run = await start(family, ['doc-3']);
    expect(await run.returnValue).toBe('doc-3, doc-3 again');
  });

  test('nobody has the token', async () => {
    await expect(resumeHook('nobody', {})).rejects.toMatchObject({ name: 'HookNotFoundError' });
  });
});
