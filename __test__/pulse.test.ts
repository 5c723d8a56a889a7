/** The decision whether anything is delivering, and its sentence: a pure function of the facts. */
import type { DeliveryFacts, LivingWorker, Stall } from '../ts/world/pulse';
import { loadModule } from './support';

const { stallOf, sentenceOf } = loadModule<typeof import('../ts/world/pulse')>('ts/world/pulse.ts');

const NOW = 1_000_000;
const CALM: DeliveryFacts = {
  nowMs: NOW,
  due: 0,
  leased: 0,
  sleeping: 0,
  held: 0,
  parked: [],
  oldestDueMs: null,
  workers: [],
};
const WELL: LivingWorker = {
  pid: 7,
  faults: [],
  app: { at: 'http://h:1', silence: null },
  refusal: null,
  lacks: [],
};
const WAITS = { due: 3, oldestDueMs: 12_000 };

const stall = (facts: Partial<DeliveryFacts>): Stall | undefined => stallOf({ ...CALM, ...facts });
const said = (facts: Partial<DeliveryFacts>) => {
  const found = stall(facts);
  return found && sentenceOf(found);
};
const fault = (duty: 'claim' | 'reachApp') => ({
  ...{ duty, code: 'BUSY', message: 'locked', times: 1, isPast: false },
  ...{ firstAtMs: 1, lastAtMs: 1 },
});
const silent = (kind: 'answer' | 'late' | 'noServer', found = 'it is silent'): LivingWorker => ({
  ...WELL,
  app: { at: null, silence: { kind, found, sinceMs: 1 } },
});
const refusing: LivingWorker = {
  ...WELL,
  refusal: { error: 'this process has not loaded it', times: 4, lastAtMs: NOW - 1000 },
};

test('nothing is wrong while nothing waits, whatever the workers say', () => {
  expect(stall({})).toBeUndefined();
  expect(stall({ workers: [WELL] })).toBeUndefined();
  expect(stall({ workers: [silent('late'), { ...WELL, faults: [fault('claim')] }] })).toBe(
    undefined,
  );
  expect(stall({ workers: [{ ...WELL, isPaused: true }] })).toBeUndefined();
});

test('a message that became due a moment ago is about to be taken', () => {
  expect(stall({ due: 1, oldestDueMs: 500 })).toBeUndefined();
  expect(stall({ due: 1, oldestDueMs: 4000, workers: [WELL] })).toBeUndefined();
});

test('what waits for another release or line is said only after all other causes, and not at once', () => {
  const parked = (oldestDueMs: number) => [
    { deploymentId: 'a', specVersion: 3, count: 2, oldestDueMs },
    { deploymentId: 'dpl_hookline', specVersion: 7, count: 1, oldestDueMs: 60_000 },
  ];
  expect(said({ parked: parked(9000), workers: [WELL] })).toBe(
    '2 messages wait for release a on line 4 of the SDK, 1 message waits for line 5 of the SDK, of which no process lives: start such a process; hookline releases shows what needs it, hookline adopt and hookline cancel end the wait, and until then nothing is lost (docs/releases.md)',
  );
  expect(stall({ parked: parked(9000).slice(0, 1), workers: [WELL] })?.cause).toBe('parked');
  expect(stall({ parked: parked(100).slice(0, 1), workers: [WELL] })).toBeUndefined();
  expect(stall({ ...WAITS, parked: parked(9000), workers: [silent('late')] })?.cause).toBe('app');
});

test('without a living worker the start line is named', () => {
  expect(said(WAITS)).toBe(
    '3 messages are due, the oldest for 12 s, and no process delivers from this database: start the app; it delivers once it has called startDelivery(), or register() of hookline/next, in the role all or worker',
  );
  expect(said({ due: 1, oldestDueMs: 61_000 })).toMatch(
    /^1 message has been due for 1 min, and no/,
  );
});

test('a delivery whose worker was killed or paused has not ended, though nothing is due', () => {
  expect(said({ leased: 1 })).toMatch(/^1 delivery has not ended, and no process delivers/);
  expect(stall({ leased: 1, workers: [WELL] })).toBeUndefined();
  expect(said({ leased: 2, workers: [{ ...WELL, isPaused: true }] })).toBe(
    '2 deliveries have not ended, and the worker of process 7 is paused: continue it with kill -CONT 7, or end it',
  );
});

test('paused workers do not deliver, and one that is awake does', () => {
  const paused = { ...WELL, isPaused: true };
  expect(stall({ ...WAITS, workers: [paused, { ...paused, pid: 8 }] })).toMatchObject({
    cause: 'paused',
    found: expect.stringContaining('the workers of the processes 7, 8 are paused'),
  });
  expect(stall({ ...WAITS, leased: 1, workers: [paused, { ...WELL, pid: 8 }] })).toBeUndefined();
});

test('a fault of a worker is said, and that it does not reach the app is said by the app', () => {
  expect(said({ ...WAITS, workers: [{ ...WELL, faults: [fault('claim')] }] })).toBe(
    '3 messages are due, the oldest for 12 s, but the worker of process 7 cannot claim messages: locked [BUSY]',
  );
  const both = { ...silent('late'), faults: [fault('reachApp')] };
  expect(stall({ ...WAITS, workers: [both] })).toMatchObject({ cause: 'app', pid: 7 });
});

test('what the address of the app answered is said, with what to do', () => {
  const found = 'http://h:1 answers HTTP 307, a redirect to /login';
  expect(said({ ...WAITS, workers: [silent('answer', found)] })).toMatch(
    /cannot hand them to the app: http:\/\/h:1 answers HTTP 307, a redirect to \/login: .*let \/\.well-known\/workflow\/ through/,
  );
  expect(stall({ ...WAITS, workers: [silent('noServer')] })?.fix).toContain('BASE_URL');
});

test('a worker with no handler for a kind of message says which', () => {
  const lacks = ['__wkf_workflow_', '__ns_wkf_step_'];
  expect(said({ ...WAITS, workers: [{ ...WELL, lacks }] })).toContain(
    'has no handler for replays and steps',
  );
});

test('what no handler takes is due again and again, and is said also while it sleeps', () => {
  const lately = { sleeping: 1, workers: [refusing] };
  expect(said(lately)).toBe(
    'messages wait for another attempt, but the last delivery of process 7 found no handler that takes it: this process has not loaded it',
  );
  expect(stall({ due: 1, oldestDueMs: 1, workers: [refusing] })).toEqual(stall(lately));
  expect(stall({ leased: 1, workers: [refusing] })).toEqual(stall(lately));
  expect(stall({ workers: [refusing] })).toBeUndefined();
  expect(stall({ ...lately, nowMs: NOW + 120_000 })).toBeUndefined();
  expect(stall({ sleeping: 1, workers: [WELL] })).toBeUndefined();
});

test('a queue behind busy workers is no stall, unless each of them has something in its way', () => {
  const busy = { ...WAITS, leased: 5 };
  expect(stall({ ...busy, workers: [WELL] })).toBeUndefined();
  expect(stall({ ...busy, workers: [silent('late'), WELL] })).toBeUndefined();
  expect(stall({ ...busy, workers: [silent('late')] })).toMatchObject({ cause: 'app' });
});

test('workers that live, say nothing and take nothing are named', () => {
  expect(stall({ ...WAITS, workers: [WELL] })).toMatchObject({
    cause: 'idle',
    found: expect.stringContaining('the worker of process 7 is alive without taking any of them'),
  });
  // The one that says what is in its way explains more.
  expect(stall({ ...WAITS, workers: [WELL, silent('late')] })).toMatchObject({ cause: 'app' });
});

test('a worker whose report is missing or is of another version is one that lives', () => {
  expect(stall({ ...WAITS, leased: 1, workers: [{}] })).toBeUndefined();
  expect(said({ ...WAITS, workers: [{}] })).toContain('the worker of process ? is alive');
});

test('held messages are told when nothing else is wrong', () => {
  expect(stall({ held: 2, workers: [WELL] })?.cause).toBe('held');
  expect(said({ held: 1, workers: [WELL] })).toMatch(
    /^1 message is held, because no living worker/,
  );
  expect(stall({ held: 2, ...WAITS, workers: [silent('late')] })?.cause).toBe('app');
  expect(stall({ held: 2 })?.cause).toBe('held');
});
