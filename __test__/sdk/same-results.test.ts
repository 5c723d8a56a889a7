/** The same workflow gives the same results, with either package's functions, on either World. */

import { type App, cleanUp, type Entity, freshData, SDKS, startApp, type Via } from './harness';

interface Play {
  result: unknown;
  events: string[];
}
type Scenario = (app: App, via: Via, token: string) => Promise<string>;

/** Each plays one fixture workflow to its end and returns the run. */
const SCENARIOS: Record<string, Scenario> = {
  'an approval with a step after the resume': async (app, via, token) => {
    const runId = await app.start('approval', token, 'invoice');
    await app.hooksReady(token);
    await app.resume(via, token, { approved: true, by: 'Ada' });
    return runId;
  },
  'a hook that is iterated': async (app, via, token) => {
    const runId = await app.start('inbox', token);
    await app.hooksReady(token);
    for (const n of [1, 2, 3]) await app.resume(via, token, { n, done: n === 3 });
    return runId;
  },
  'a hook that wins against a sleep': async (app, via, token) => {
    const runId = await app.start('race', token, '1d');
    await app.hooksReady(token);
    await app.resume(via, token, { answer: 'in time' });
    return runId;
  },
  'a hook that loses against a sleep': (app, _via, token) => app.start('race', token, '1s'),
  'a hook disposed before another waits': async (app, via, token) => {
    const runId = await app.start('oneLetter', token, `${token} next`);
    await app.hooksReady(token);
    await app.resume(via, token, { n: 1 });
    await app.hooksReady(`${token} next`);
    await app.resume(via, `${token} next`, { n: 2 });
    return runId;
  },
  'parallel steps': (app) => app.start('parallel', 10),
  'a step that asks to be retried': (app) => app.start('retrying'),
  'a webhook that answers at once': (app) => callWebhook(app, 'default', 202, ''),
  'a webhook answered by a step': (app) => callWebhook(app, 'manual', 201, 'you said hello'),
};

/** What a replay writes at the same time may land in any order, and so may the ends of steps. */
const UNORDERED = new Set(['parallel steps', 'a hook disposed before another waits']);

let serial = 0;
afterAll(cleanUp);

describe.each(SDKS)('with the SDK %s', (sdk) => {
  let hookline: App;
  let local: App;

  beforeAll(async () => {
    [hookline, local] = await Promise.all([
      startApp({ data: freshData(), sdk }),
      startApp({ data: freshData(), sdk, world: 'local' }),
    ]);
  }, 120_000);
  afterAll(() => Promise.all([hookline?.stop(), local?.stop()]));

  describe.each(Object.entries(SCENARIOS))('%s', (name, scenario) => {
    let reference: Play;
    beforeAll(async () => {
      reference = inOrder(withoutRaces(await play(local, 'sdk', scenario)), name);
    }, 60_000);

    test.each(['sdk', 'hookline'] as const)(
      'gives the result and the event log of world-local, resumed by %s',
      async (via) => {
        expect(inOrder(await play(hookline, via, scenario), name)).toEqual(reference);
      },
      60_000,
    );
  });

  test('a run that fails by its step has the error and the code of world-local', async () => {
    const [ours, reference] = await Promise.all([hookline, local].map(fail));
    expect(ours).toEqual(reference);
    expect(ours?.error).toMatchObject({ name: 'WorkflowRunFailedError' });
    expect(JSON.stringify(ours)).toContain('the reason of the step');
  });

  describe('resumeHook and getHookByToken', () => {
    test('return the same Hook fields as workflow/api, of the same kinds', async () => {
      const [bySdk, byUs] = await Promise.all([
        describeHooks(hookline, 'sdk'),
        describeHooks(hookline, 'hookline'),
      ]);
      expect(byUs).toEqual(bySdk);
      expect(byUs.found.metadata).toEqual({ subject: 'invoice', asked: ['legal', 'finance'] });
      expect(byUs.resumed).toEqual(byUs.found);
    });

    test('return the kinds of fields that world-local returns', async () => {
      const [onLocal, onHookline] = [await pause(local), await pause(hookline)];
      const reference = await local.ask<Entity>('hook', { via: 'sdk', token: onLocal });
      const ours = await hookline.ask<Entity>('hook', { via: 'hookline', token: onHookline });
      expect(ours.kinds).toEqual(reference.kinds);
    });

    test.each(['sdk', 'hookline'] as const)(
      'accept and return a Hook object, by %s',
      async (via) => {
        const token = await pause(hookline);
        const payload = { approved: false, by: 'Bob' };
        const hook = await hookline.ask<Entity>('resume', { via, token, payload, byHook: true });
        expect(hook.token).toBe(token);
        await expect(hookline.result(hook.runId)).resolves.toMatchObject({ decision: payload });
      },
    );

    test.each(['sdk', 'hookline'] as const)(
      'reject a token that names no hook with HookNotFoundError and the token, by %s',
      async (via) => {
        const token = freshToken();
        const missing = { name: 'HookNotFoundError', token };
        await expect(hookline.resume(via, token, {})).rejects.toMatchObject(missing);
        await expect(hookline.ask('hook', { via, token })).rejects.toMatchObject(missing);
      },
    );

    test.each(['sdk', 'hookline'] as const)(
      'reject the token of a run that has ended, by %s',
      async (via) => {
        const token = await pause(hookline);
        const { runId } = await hookline.resume(via, token, { approved: true, by: 'Ada' });
        await hookline.result(runId);
        const missing = { name: 'HookNotFoundError', token };
        await expect(hookline.resume(via, token, {})).rejects.toMatchObject(missing);
      },
    );
  });

  test('a token that is taken reports the run that holds it, and is free when that run ends', async () => {
    const token = freshToken();
    const holder = await hookline.start('claim', token);
    await hookline.hooksReady(token);
    const loser = await hookline.start('claim', token);
    await expect(hookline.result(loser)).resolves.toEqual({ owner: holder });
    await hookline.resume('hookline', token, { n: 7 });
    await expect(hookline.result(holder)).resolves.toEqual({ got: 7 });

    const next = await hookline.start('claim', token);
    await hookline.hooksReady(token);
    await hookline.resume('hookline', token, { n: 8 });
    await expect(hookline.result(next)).resolves.toEqual({ got: 8 });
  });
});

/** A failed run: the error of its return value, and its code. */
async function fail(app: App) {
  const runId = await app.start('failingStep', 'the reason of the step');
  const asked = { via: 'sdk', runId, ask: 'returnValue' };
  const { error } = await app.ask<{ error: object }>('askRun', asked);
  const { errorCode } = await app.ask<{ errorCode?: string }>('run', { runId });
  return JSON.parse(JSON.stringify({ error, errorCode }).replaceAll(runId, 'RUN')) as {
    error: object;
  };
}

async function play(app: App, via: Via, scenario: Scenario): Promise<Play> {
  const runId = await scenario(app, via, freshToken());
  const result = await app.result(runId);
  // World-local shows the run as ended a moment before its log does.
  await app.ask('eventSeen', { runId, type: 'run_completed' });
  return { result, events: await app.eventTypes(runId) };
}

/**
 * World-local replays a run several times at once, and then logs its end several times; and a quick
 * delivery may log the start of a run before its creation.
 */
function withoutRaces({ result, events }: Play): Play {
  const rest = events.filter(
    (type, i) => type !== 'run_created' && (type !== 'run_completed' || events.indexOf(type) === i),
  );
  return { result, events: ['run_created', ...rest] };
}

function inOrder({ result, events }: Play, name: string): Play {
  return { result, events: UNORDERED.has(name) ? events.sort() : events };
}

async function describeHooks(hookline: App, via: Via) {
  const token = await pause(hookline);
  const found = await hookline.ask<Entity>('hook', { via, token });
  const resumed = await hookline.resume(via, token, { approved: true, by: 'Ada' });
  const anonymous = { runId: '', hookId: '', token: '', createdAt: '' };
  expect(resumed.hookId).toBe(found.hookId);
  return { found: { ...found, ...anonymous }, resumed: { ...resumed, ...anonymous } };
}

/** Starts an approval, waits until it has its hook, and returns the token. */
async function pause(app: App): Promise<string> {
  const token = freshToken();
  await app.start('approval', token, 'invoice');
  await app.hooksReady(token);
  return token;
}

async function callWebhook(app: App, reply: string, status: number, text: string) {
  const runId = await app.start('webhook', reply);
  const hook = await app.ask<Entity>('hookOf', { runId });
  const path = `/.well-known/workflow/v1/webhook/${encodeURIComponent(hook.token)}`;
  const response = await fetch(app.url + path, { method: 'POST', body: 'hello' });
  expect([response.status, await response.text()]).toEqual([status, text]);
  return runId;
}

function freshToken(): string {
  serial += 1;
  return `token ${serial}`;
}
