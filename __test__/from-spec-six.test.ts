import type { World } from 'hookline';
import { cleanUp, devalueString, loadModule, newRun, newWorld } from './support';

afterEach(cleanUp);

/** The methods as the SDK calls them: with fields that no type of line 4 names. */
type Method = (...args: unknown[]) => Promise<never>;
type Loose = {
  events: { create: Method; list: Method };
  runs: { get: Method; list: Method };
  steps: { get: Method };
};

async function runOf(specVersion: number) {
  const world = newWorld() as World;
  const { events, runs, steps } = world as unknown as Loose;
  const data = { deploymentId: 'dpl', workflowName: 'workflow//./a//b', input: devalueString('i') };
  const created = { eventType: 'run_created', specVersion, eventData: data };
  const { run } = (await events.create(null, created)) as { run: { runId: string } };
  await events.create(run.runId, { eventType: 'run_started', specVersion });
  const append = (event: object, params?: object) =>
    events.create(run.runId, { specVersion, ...event }, params) as Promise<
      Record<string, never> & { events?: { eventId: string }[] }
    >;
  return { world, runId: run.runId, append, events, runs, steps };
}

const START = {
  eventType: 'step_started',
  correlationId: 'step_1',
  eventData: { stepName: 'step//./a//s', input: devalueString('x'), more: { kept: [1] } },
};

test.each([6, 7, 8])('spec %d: a start creates its step, once, with its input', async (spec) => {
  const { runId, append, events } = await runOf(spec);
  const reply = await append(START);
  expect(reply).toMatchObject({
    stepCreated: true,
    event: { eventType: 'step_started', eventData: { stepName: 'step//./a//s' } },
    step: { stepId: 'step_1', status: 'running', attempt: 1, input: START.eventData.input },
  });
  await expect(append(START)).rejects.toMatchObject({ name: 'EntityConflictError' });
  const { data } = (await events.list({ runId })) as { data: object[] };
  expect(data.slice(2)).toMatchObject([
    {
      eventType: 'step_created',
      eventData: { stepName: 'step//./a//s', input: START.eventData.input },
    },
    { eventType: 'step_started', eventId: 'evnt_00000000000000000000000004' },
  ]);
  expect((data[3] as { eventData: object }).eventData).toEqual({
    stepName: 'step//./a//s',
    more: { kept: [1] },
  });
});

test('errors are the bytes that the SDK gave, on the step and on the run', async () => {
  const { runId, append, runs, steps } = await runOf(8);
  await append(START);
  const failure = new Uint8Array([100, 101, 118, 108, 0, 255]);
  const failed = {
    eventType: 'step_failed',
    correlationId: 'step_1',
    eventData: { error: failure },
  };
  await append(failed);
  expect((await steps.get(runId, 'step_1')) as object).toMatchObject({ error: failure });
  await append({ eventType: 'run_failed', eventData: { error: failure, errorCode: 'USER_ERROR' } });
  for (const resolveData of ['all', 'none', 'skip-step-inputs']) {
    const run = (await runs.get(runId, { resolveData })) as { input?: unknown };
    expect(run).toMatchObject({ error: failure, errorCode: 'USER_ERROR', attributes: {} });
    expect(run.input === undefined).toBe(resolveData === 'none');
  }
});

test('attributes are merged, and refused as the SDK expects', async () => {
  const { runId, append, runs } = await runOf(8);
  const set = (changes: object[], more: object = {}) =>
    append({
      eventType: 'attr_set',
      correlationId: 'attr_1',
      eventData: { changes, writer: { type: 'workflow' }, ...more },
    });
  await expect(set([{ key: '$eve.version', value: '1' }])).rejects.toMatchObject({ status: 400 });
  await set([{ key: '$eve.version', value: '1' }], { allowReservedAttributes: true });
  await expect(set([{ key: 'a', value: '1' }])).rejects.toMatchObject({
    name: 'EntityConflictError',
  });
  const fromStep = { writer: { type: 'step', stepId: 's', attempt: 1 } };
  const changes = [{ key: 'a', value: '2' }];
  await append({ eventType: 'attr_set', eventData: { changes, ...fromStep } });
  const run = (await runs.get(runId, { resolveData: 'none' })) as { attributes: object };
  expect(run.attributes).toEqual({ '$eve.version': '1', a: '2' });
});

test('a writer learns what it has not seen', async () => {
  const { append, events, runId } = await runOf(8);
  await append(START);
  const page = (await events.list({ runId })) as { cursor: string };
  const done = { eventType: 'step_completed', correlationId: 'step_1', eventData: {} };
  const counted = await append(
    { eventType: 'wait_created', correlationId: 'w', eventData: { resumeAt: new Date() } },
    { eventCount: 2 },
  );
  expect(counted).toMatchObject({ cursor: null, hasMore: false });
  expect(counted.events).toMatchObject([
    { eventType: 'step_created' },
    { eventType: 'step_started' },
  ]);
  const since = await append(done, { eventCount: 2, sinceCursor: page.cursor });
  expect(since.events).toMatchObject([
    { eventType: 'wait_created' },
    { eventType: 'step_completed' },
  ]);
  const silent = await append({ eventType: 'run_started' }, { skipPreload: true });
  expect(silent).toMatchObject({ run: { status: 'running' } });
  expect(silent.events).toBeUndefined();
  expect((await append({ eventType: 'run_started' })).events).toHaveLength(6);
});

test('a resume with an id happens once, and its event shows the id', async () => {
  const { runId, append, events } = await runOf(8);
  await append({ eventType: 'hook_created', correlationId: 'hook_1', eventData: { token: 't' } });
  const resume = (resumePayloadDigest: string) =>
    append(
      {
        eventType: 'hook_received',
        correlationId: 'hook_1',
        eventData: { payload: devalueString('p') },
      },
      { resumeId: 'r1', resumePayloadDigest },
    );
  const { event } = await resume('digest');
  await append({ eventType: 'hook_disposed', correlationId: 'hook_1' });
  expect((await resume('digest')).event).toEqual(event);
  await expect(resume('other')).rejects.toMatchObject({ name: 'EntityConflictError' });
  const { data } = (await events.list({ runId })) as { data: object[] };
  expect(data.filter((one) => 'resumeId' in one)).toMatchObject([{ resumeId: 'r1' }]);
});

test('runs are listed by several statuses', async () => {
  const { world, runId, append, runs } = await runOf(8);
  const running = await newRun(world);
  await append({ eventType: 'run_cancelled' });
  const ids = async (status: unknown) => {
    const { data } = (await runs.list({ status })) as { data: { runId: string }[] };
    return data.map((run) => run.runId).sort();
  };
  expect(await ids(['cancelled', 'running'])).toEqual([runId, running].sort());
  expect(await ids(['completed', 'running'])).toEqual([running]);
  expect(await ids('cancelled')).toEqual([runId]);
  expect(await ids([])).toEqual([]);
  await expect(ids(['gone'])).rejects.toMatchObject({ status: 400 });
});

test('a batch has an outcome for each event, with the statuses that the SDK reads', async () => {
  const { world, runId, events } = await runOf(8);
  const { createBatch } = world.events as unknown as { createBatch: Method };
  const entry = (eventType: string, correlationId: string, eventData: object) => ({
    event: { eventType, specVersion: 8, correlationId, eventData },
    computeInstanceId: 'ci',
  });
  const pair = (id: string) => [
    entry('step_created', id, { stepName: 'step//./a//s', input: devalueString(id) }),
    entry('step_started', id, { stepName: 'step//./a//s', ownerMessageId: 'msg_other' }),
  ];
  const all = [...pair('step_1'), ...pair('step_2')];
  const first = (await createBatch(runId, all, { requestId: 'r' })) as { results: object[] };
  expect(first.results).toMatchObject([
    { status: 200, event: { eventData: { input: devalueString('step_1') } } },
    { status: 200, step: { status: 'running', attempt: 1, startedAt: expect.any(Date) } },
    { status: 200, event: { eventId: 'evnt_00000000000000000000000005' } },
    { status: 200, event: { eventType: 'step_started' } },
  ]);
  const resumeAt = new Date(Date.now() + 1000);
  const again = [...pair('step_1'), entry('wait_created', 'wait_1', { resumeAt })];
  const second = (await createBatch(runId, again)) as { results: object[] };
  const conflict = { status: 409, error: 'ENTITY_CONFLICT', message: expect.any(String) };
  expect(second.results).toEqual([
    conflict,
    conflict,
    expect.objectContaining({ status: 200, wait: expect.objectContaining({ resumeAt }) }),
  ]);
  const alone = [...pair('step_3'), entry('hook_created', 'hook_1', { token: 't' })];
  await expect(createBatch(runId, alone)).rejects.toMatchObject({ code: 'INVALID', status: 400 });
  for (const malformed of [undefined, [undefined], [{ event: null }]]) {
    await expect(createBatch(runId, malformed)).rejects.toMatchObject({ status: 400 });
  }
  expect(((await events.list({ runId })) as { data: object[] }).data).toHaveLength(7);
});

test('an imported run still knows the resumes that it has had', async () => {
  const { world, runId, append, events } = await runOf(8);
  await append({ eventType: 'hook_created', correlationId: 'hook_1', eventData: { token: 't' } });
  const resume = {
    eventType: 'hook_received',
    correlationId: 'hook_1',
    eventData: { token: 't', payload: devalueString('p') },
  };
  const named = { resumeId: '01ARZ3NDEKTSV4RRFFQ69G5FAV', resumePayloadDigest: 'digest' };
  await append(resume, named);
  const { importWorld } =
    loadModule<typeof import('../ts/import/importer')>('ts/import/importer.ts');
  const target = newWorld() as World;
  const progress = { begin: () => undefined, advance: () => undefined };
  const report = await importWorld(world, target, progress);
  expect(report).toMatchObject({ runs: { imported: 1, failed: 0 }, failures: [] });
  const { create } = target.events as unknown as { create: Method };
  await create(runId, { specVersion: 8, ...resume }, named);
  const { data } = (await events.list({ runId })) as { data: object[] };
  const imported = (await target.events.list({ runId })).data;
  expect(imported.map(({ eventId }) => eventId)).toEqual(
    (data as { eventId: string }[]).map(({ eventId }) => eventId),
  );
});
