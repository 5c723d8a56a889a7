import type { PayloadRef } from '../ts/native/binding';
import { loadModule } from './support';

const { payloadOf, toEvent, toHook, toPage, toRun, toStep, toWait } =
  loadModule<typeof import('../ts/native/records')>('ts/native/records.ts');

const BYTES = Buffer.from('....payload');
const PAYLOAD: PayloadRef = { at: 4, len: 7 };
const text = (value: unknown) => new TextDecoder().decode(value as Uint8Array);

const RUN = {
  runId: 'wrun_1',
  status: 'running',
  deploymentId: 'dpl',
  workflowName: 'w',
  specVersion: 3,
  executionContext: { workflowCoreVersion: '4.8.9' },
  input: PAYLOAD,
  output: null,
  createdAtMs: 1000,
  updatedAtMs: 2000,
  startedAtMs: 1500,
  completedAtMs: null,
};

test('a run has dates for its milliseconds, and no key for what it lacks', () => {
  const { input, ...run } = toRun(RUN, BYTES);
  expect(text(input)).toBe('payload');
  expect(run).toStrictEqual({
    runId: 'wrun_1',
    status: 'running',
    deploymentId: 'dpl',
    workflowName: 'w',
    specVersion: 3,
    executionContext: { workflowCoreVersion: '4.8.9' },
    createdAt: new Date(1000),
    updatedAt: new Date(2000),
    startedAt: new Date(1500),
  });
});

test('a run or step without data has input and output, undefined', () => {
  for (const entity of [toRun(RUN, BYTES, false), toStep({ ...RUN }, BYTES, false)]) {
    expect(Object.hasOwn(entity, 'input') && Object.hasOwn(entity, 'output')).toBe(true);
    expect([entity.input, entity.output]).toEqual([undefined, undefined]);
  }
});

test('payload bytes are plain and own: no Buffer, and not a view of the reply', () => {
  const input = toRun(RUN, BYTES).input as Uint8Array;
  expect(Buffer.isBuffer(input)).toBe(false);
  expect(input).toBeInstanceOf(Uint8Array);
  expect(input.buffer.byteLength).toBe(7);
});

test('a JSON payload is decoded, bytes within it too', () => {
  const json = '{"a":{"__type":"Uint8Array","data":"AQI="}}';
  expect(payloadOf({ json }, BYTES)).toEqual({ a: new Uint8Array([1, 2]) });
  expect(payloadOf({ json: 'null' }, BYTES)).toBeNull();
  expect(payloadOf(null, BYTES)).toBeUndefined();
});

test('a hook has metadata only when there is some, and when it was asked for', () => {
  const fields = { runId: 'r', hookId: 'h', token: 't', specVersion: 3, isWebhook: false };
  const record = { ...fields, environment: null, createdAtMs: 5 };
  const whose = { ownerId: 'hookline', projectId: 'hookline', environment: 'production' };
  const hook = { ...fields, ...whose, createdAt: new Date(5) };
  expect(toHook({ ...record, metadata: null }, BYTES)).toStrictEqual(hook);
  expect(toHook({ ...record, metadata: PAYLOAD }, BYTES, false)).toStrictEqual(hook);
  expect(text(toHook({ ...record, metadata: PAYLOAD }, BYTES).metadata)).toBe('payload');
});

test('a hook says in which environment it was made', () => {
  const record = { runId: 'r', hookId: 'h', token: 't', createdAtMs: 5 };
  expect(toHook({ ...record, environment: 'development' }, BYTES).environment).toBe('development');
});

test('every conversion makes new objects', () => {
  const record = { runId: 'r', hookId: 'h', token: 't', createdAtMs: 5, metadata: PAYLOAD };
  const [a, b] = [toHook(record, BYTES), toHook(record, BYTES)];
  expect(a).not.toBe(b);
  expect(a.metadata).not.toBe(b.metadata);
  expect(a.createdAt).not.toBe(b.createdAt);
});

const EVENT = { runId: 'r', eventId: 'e', createdAtMs: 9, specVersion: 3, correlationId: 'c' };

test.each([
  ['run_created', 'input'],
  ['run_completed', 'output'],
  ['run_failed', 'error'],
  ['step_created', 'input'],
  ['step_completed', 'result'],
  ['step_failed', 'error'],
  ['step_retrying', 'error'],
  ['hook_created', 'metadata'],
  ['hook_received', 'payload'],
])('the payload of %s is its %s', (eventType, field) => {
  const record = { ...EVENT, eventType, eventData: { kept: 1 }, payload: PAYLOAD };
  const data = (toEvent(record, BYTES) as { eventData: Record<string, unknown> }).eventData;
  expect(text(data[field])).toBe('payload');
  expect(data.kept).toBe(1);
});

test('an event without any data has no eventData', () => {
  expect(toEvent({ ...EVENT, eventType: 'hook_disposed', payload: null }, BYTES)).toStrictEqual({
    runId: 'r',
    eventId: 'e',
    eventType: 'hook_disposed',
    correlationId: 'c',
    specVersion: 3,
    createdAt: new Date(9),
  });
});

test('eventData that was given empty is empty again, unless payloads are left out', () => {
  const record = { ...EVENT, eventType: 'run_completed', eventData: {}, payload: null };
  expect(toEvent(record, BYTES)).toHaveProperty('eventData', {});
  expect(toEvent(record, BYTES, false)).not.toHaveProperty('eventData');
});

test('points in time within eventData are dates', () => {
  const record = { ...EVENT, eventType: 'wait_created', eventData: { resumeAt: 4000 } };
  expect(toEvent(record, BYTES)).toMatchObject({ eventData: { resumeAt: new Date(4000) } });
  expect(record.eventData.resumeAt).toBe(4000);
});

test('a wait and a page are converted as a whole', () => {
  const record = {
    waitId: 'w',
    runId: 'r',
    status: 'waiting',
    resumeAtMs: 3,
    createdAtMs: 1,
    updatedAtMs: 1,
  };
  expect(toPage({ data: [record], hasMore: false }, toWait)).toEqual({
    data: [
      {
        waitId: 'w',
        runId: 'r',
        status: 'waiting',
        resumeAt: new Date(3),
        createdAt: new Date(1),
        updatedAt: new Date(1),
      },
    ],
    cursor: null,
    hasMore: false,
  });
});

test('a stored text that is no JSON is CORRUPT, and is not quoted', () => {
  let thrown: unknown;
  try {
    payloadOf({ json: '{"token":"secret"' }, BYTES);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ name: 'WorkflowWorldError', code: 'CORRUPT', status: 500 });
  expect(String(thrown)).not.toContain('secret');
});
