// Random requests into every method of the addon and of the World above it: every call settles,
// with an answer or with an error of the closed list, and the process survives.
//
//   node fuzz.mjs <seed> <rounds> <folder>

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { handle, seed as seedHook, useDatabase } from './resume.mjs';

const { NativeWorld } = createRequire(import.meta.url)('hookline/binding');
const [, , seed, rounds, folder] = process.argv;
const random = sequence(Number(seed));
const database = join(folder, 'hookline.db');
const bytes = (text) => new TextEncoder().encode(text);
const tally = {};
const wrong = [];

const SETTLE_LIMIT_MS = 20_000;
/** The codes of `src/error.rs` that a wrong request may get on an open, healthy database. */
const CODES = new Set([
  'RUN_NOT_FOUND',
  'HOOK_NOT_FOUND',
  'NOT_FOUND',
  'ENTITY_CONFLICT',
  'IDEMPOTENCY_CONFLICT',
  'RUN_EXPIRED',
  'TOO_EARLY',
  'RUN_NOT_SUPPORTED',
  'INVALID',
]);
const EVENT_TYPES = [
  ...['run_created', 'run_started', 'run_completed', 'run_failed', 'run_cancelled'],
  ...['step_created', 'step_started', 'step_completed', 'step_failed', 'step_retrying'],
  ...['hook_created', 'hook_received', 'hook_disposed', 'hook_conflict'],
  ...['wait_created', 'wait_completed'],
];
const runIds = [null, '', 'wrun_1', 'wrun_01ARZ3NDEKTSV4RRFFQ69G5FAV'];
const readIds = [];
const waiters = [];
let lastReadId = 10_000;
let lastWaiter = 10_000;
let lastBackup = 0;

/** The methods of `NativeWorld` whose arguments have a shape. */
const CALLS = [
  function appendEvent(w) {
    return w.appendEvent(...withPayload(request(event())));
  },
  function resumeHook(w) {
    return w.resumeHook(...withPayload(request(resume())));
  },
  function resumeHookOnce(w) {
    return w.resumeHookOnce(...withPayload(request({ ...resume(), ...resumeKey() })));
  },
  function earlierResume(w) {
    return w.earlierResume(request(resumeKey()));
  },
  function startRun(w) {
    return w.startRun(...withPayload(request(event())));
  },
  function hookForResume(w) {
    return w.hookForResume(or(text));
  },
  function resumePlainly(w) {
    return w.resumePlainly(or(text), or(block));
  },
  function runForResume(w) {
    return w.runForResume(or(() => runId() ?? ''));
  },
  function getRun(w) {
    return w.getRun(
      or(text),
      or(() => true),
    );
  },
  function getStep(w) {
    return w.getStep(
      or(() => undefined),
      or(text),
      or(() => true),
    );
  },
  function getEvent(w) {
    return w.getEvent(
      or(text),
      or(text),
      or(() => true),
    );
  },
  function getHook(w) {
    return w.getHook(
      or(correlationId),
      or(() => true),
    );
  },
  function getHookByToken(w) {
    return w.getHookByToken(or(text));
  },
  function listRuns(w) {
    return w.listRuns(or(listQuery));
  },
  function listSteps(w) {
    return w.listSteps(or(listQuery));
  },
  function listEvents(w) {
    return w.listEvents(or(listQuery));
  },
  function listEventsByCorrelationId(w) {
    return w.listEventsByCorrelationId(or(listQuery));
  },
  function listHooks(w) {
    return w.listHooks(or(listQuery));
  },
  function enqueue(w) {
    const fields = { queueName, delaySeconds: number, idempotencyKey: text };
    return w.enqueue(request(fields), or(block));
  },
  function handlerRegistered(w) {
    return w.handlerRegistered(or(queueName));
  },
  function settleDelivery(w) {
    return w.settleDelivery(
      or(number),
      or(() => json(3)),
    );
  },
  function writeStream(w) {
    const chunks = Array.from({ length: int(4) }, () => or(block));
    return w.writeStream(
      or(() => pick(['s', text()])),
      or(text),
      or(() => chunks),
    );
  },
  function closeStream(w) {
    return w.closeStream(or(text), or(text));
  },
  function readStream(w) {
    return w.readStream(or(readRequest));
  },
  function stopReadingStream(w) {
    return w.stopReadingStream(or(() => int(1000)));
  },
  function getStreamChunks(w) {
    return w.getStreamChunks(request({ name: text, limit: number, cursor: text }));
  },
  function getStreamInfo(w) {
    return w.getStreamInfo(or(text));
  },
  function listStreams(w) {
    return w.listStreams(or(text));
  },
  function wakeUpRun(w) {
    return w.wakeUpRun(request({ runId, correlationIds: () => [text(), text()] }));
  },
  function awaitRunEnd(w) {
    return w.awaitRunEnd(waiter(), or(text));
  },
  function awaitHook(w) {
    return w.awaitHook(waiter(), or(text));
  },
  function freshWaiter(w) {
    return w.freshWaiter();
  },
  function stopAwaiting(w) {
    return w.stopAwaiting(waiter());
  },
  function backUp(w) {
    // Only a file in the test's folder, because any other text would be a path too.
    lastBackup += 1;
    return random() < 0.05 ? w.backUp(join(folder, `backup-${lastBackup}.db`)) : undefined;
  },
  function startWorker(w) {
    return random() < 0.1 ? w.startWorker(value(1), value(1)) : undefined;
  },
];

/** Every method of the World, with anything for its arguments. */
const WORLD_CALLS = [
  function eventsCreate(w) {
    return w.events.create(pick([runId(), value(1)]), pick([JSON.parse(jsonObject()), value(3)]));
  },
  function eventsGet(w) {
    return w.events.get(value(1), value(1), value(1) ?? undefined);
  },
  function eventsList(w) {
    return w.events.list(value(2));
  },
  function eventsListByCorrelationId(w) {
    return w.events.listByCorrelationId(value(2));
  },
  function runsGet(w) {
    return w.runs.get(value(1));
  },
  function runsList(w) {
    return w.runs.list(value(2));
  },
  function stepsGet(w) {
    return w.steps.get(value(1), value(1));
  },
  function stepsList(w) {
    return w.steps.list(value(2));
  },
  function hooksGet(w) {
    return w.hooks.get(value(1));
  },
  function hooksGetByToken(w) {
    return w.hooks.getByToken(value(1));
  },
  function hooksList(w) {
    return w.hooks.list(value(2));
  },
  function queue(w) {
    return w.queue(pick([queueName(), value(1)]), value(3), value(2));
  },
  function writeToStream(w) {
    return w.writeToStream(value(1), value(1), pick([block(), value(1)]));
  },
  function writeToStreamMulti(w) {
    return w.writeToStreamMulti(value(1), value(1), pick([[block()], value(1)]));
  },
  function closeStream(w) {
    return w.closeStream(value(1), value(1));
  },
  function getStreamChunks(w) {
    return w.getStreamChunks(value(1), value(1), value(2));
  },
  function getStreamInfo(w) {
    return w.getStreamInfo(value(1));
  },
  function listStreamsByRunId(w) {
    return w.listStreamsByRunId(value(1));
  },
  async function readFromStream(w) {
    await (await w.readFromStream(value(1), value(1))).cancel();
  },
];

const SHAPED = new Map(CALLS.map((call) => [call.name, call]));

/**
 * Calls every method of `NativeWorld` that does not end its work, once; methods without a shape get
 * texts.
 */
const NATIVE_CALLS = Object.getOwnPropertyNames(NativeWorld.prototype)
  .filter((name) => !['constructor', 'open', 'close', 'drain'].includes(name))
  .map((name) => SHAPED.get(name) ?? { [name]: (w) => w[name](or(text), or(text)) }[name]);
for (const name of SHAPED.keys()) {
  if (!NATIVE_CALLS.includes(SHAPED.get(name))) wrong.push(`there is no method ${name} any more`);
}

const world = useDatabase(database);
for (const token of ['a', 'b', 'c']) runIds.push(await seedHook(world, token));
const native = new NativeWorld(JSON.stringify({ url: database }));
await native.open();
native.handlerRegistered('__wkf_workflow_');
native.handlerRegistered('__wkf_step_');
await native.startWorker(
  (delivery) => {
    native.settleDelivery(JSON.parse(delivery).deliveryId, json(3));
  },
  () => {},
  json({}),
);

for (let round = 0; round < Number(rounds); round += 1) {
  await callAll(NATIVE_CALLS, native);
  if (round % 3 === 0) await callAll(WORLD_CALLS, world);
  if (round % 10 === 0) {
    await fuzzConfig();
    runIds.push(await seedHook(world, `fresh ${round}`));
  }
}

await seedHook(world, 'afterwards');
const { status } = await handle('afterwards', { ok: true });
await native.close();
await world.close();
process.stdout.write(JSON.stringify({ status, tally, wrong }));

/** Makes a call, and returns its outcome. */
async function attempt(call, target) {
  const outcome = (async () => call(target))().then(judge, judgeThrown);
  const limit = new Promise((resolve) => {
    setTimeout(resolve, SETTLE_LIMIT_MS, 'never settled').unref();
  });
  return { name: call.name, kind: await Promise.race([outcome, limit]) };
}

/** Makes all calls at once. */
async function callAll(calls, target) {
  const attempts = calls.map((call) => attempt(call, target));
  // A read of a live stream waits for chunks, so stop the reads; otherwise they would wait for
  // ever.
  setTimeout(() => {
    for (const readId of readIds.splice(0)) native.stopReadingStream(readId);
    for (const id of waiters.splice(0)) native.stopAwaiting(id);
  }, 10);
  for (const { name, kind } of await Promise.all(attempts)) {
    tally[kind] = (tally[kind] ?? 0) + 1;
    if (!kind.startsWith('ok')) wrong.push(`${name}: ${kind}`);
  }
}

function judge(reply) {
  if (typeof reply?.error !== 'string') return 'ok';
  const { code, message } = JSON.parse(reply.error);
  return CODES.has(code) ? `ok, refused: ${code}` : `${code}: ${message}`;
}

/** The World must throw one of our classes; the addon must throw only for a wrong type. */
function judgeThrown(error) {
  if (!(error instanceof Error)) return `not an error: ${error}`;
  if (error.name === 'TypeError') return 'ok, thrown: TypeError';
  if (/Expected$|InvalidArg/.test(error.code ?? '')) return 'ok, thrown: wrong type';
  if (error.name === 'WorkflowWorldError' && !CODES.has(error.code))
    return `${error.name} ${error.code}: ${error.message}`;
  const known = ['WorkflowWorldError', 'HookNotFoundError', 'WorkflowRunNotFoundError'];
  const sdks = ['EntityConflictError', 'RunExpiredError', 'TooEarlyError', 'RunNotSupportedError'];
  if ([...known, ...sdks].includes(error.name)) return `ok, thrown: ${error.name}`;
  return `${error.name}: ${error.message}`;
}

async function fuzzConfig() {
  const config = pick([
    () => json(2),
    () => text(),
    () => JSON.stringify({ url: pick([':memory:x', '', '\0', text()]), [text()]: value(2) }),
    () => JSON.stringify({ url: ':memory:y', durability: text(), concurrency: text() }),
    () => JSON.stringify({ url: ':memory:z', role: value(1), baseUrl: value(1) }),
  ])();
  const other = new NativeWorld(config);
  const early = JSON.parse((await other.getRun('wrun_1', true)).error).code;
  if (early !== 'CLOSED') wrong.push(`an unopened World answered ${early}`);
  const { error } = await other.open();
  const code = error && JSON.parse(error).code;
  const fine = [undefined, 'BAD_CONFIG', 'INVALID', 'CANNOT_OPEN', 'READ_ONLY'];
  if (!fine.includes(code)) wrong.push(`open: ${error}`);
  await other.close();
}

function sequence(start) {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function int(below) {
  return Math.floor(random() * below);
}

function pick(choices) {
  return choices[int(choices.length)];
}

function text() {
  return pick([
    '',
    'a',
    'hook_1',
    'constructor',
    '__proto__',
    'no such word',
    '\0',
    'é'.repeat(int(5000)),
    '\u{1F600}',
    "'; DROP TABLE events; --",
    'x'.repeat(int(70_000)),
    String.fromCharCode(int(0xd800)),
    '-1',
    '99999999999999999999',
    '{"runId":"wrun_1"}',
  ]);
}

function number() {
  return pick([0, 1, -1, 0.5, 2 ** 31, 2 ** 32, -(2 ** 31), 2 ** 53, 2 ** 63, 1e300, -1e300, 1000]);
}

function value(depth) {
  const leaves = [
    text,
    () => '\ud800',
    number,
    () => null,
    () => true,
    () => false,
    () => undefined,
  ];
  if (depth === 0) return pick(leaves)();
  return pick([
    ...leaves,
    () => Array.from({ length: int(4) }, () => value(depth - 1)),
    () => Object.fromEntries(Array.from({ length: int(4) }, () => [text(), value(depth - 1)])),
  ])();
}

/** JSON of anything, sometimes broken. */
function json(depth) {
  const document = JSON.stringify(value(depth)) ?? 'undefined';
  if (random() < 0.1) return document.slice(0, int(document.length));
  if (random() < 0.05) return '['.repeat(10_000);
  return document;
}

/** An object with the fields of a request: all right, or some of them random or absent. */
function request(fields) {
  if (random() < 0.05) return json(3);
  const wrongness = pick([0, 0.05, 0.4]);
  const object = {};
  for (const [name, right] of Object.entries(fields)) {
    const fate = random();
    if (fate > wrongness) object[name] = right();
    else if (fate < wrongness / 2) object[name] = value(2);
  }
  return JSON.stringify(object);
}

function runId() {
  return pick(runIds);
}

function correlationId() {
  return pick(['hook_1', 'step_1', 'wait_1', '', text()]);
}

function block() {
  return pick([
    () => new Uint8Array(0),
    () => bytes(text()),
    () => bytes(json(3)),
    () => new Uint8Array(int(100_000)),
    () => new Uint8Array(64).fill(255),
  ])();
}

/**
 * A request and its payload. `ts/` makes sure that the payload is JSON, so it is not checked again.
 */
function withPayload(document) {
  const isJson = document.includes('"payloadFormat":"json"');
  return [document, isJson ? bytes(JSON.stringify(value(3)) ?? 'null') : or(block)];
}

/** An argument: right most of the time. */
function or(right) {
  return random() < 0.9 ? right() : value(1);
}

function event() {
  return {
    runId,
    eventType: () => pick(EVENT_TYPES),
    correlationId,
    specVersion: () => pick([1, 2, 3, 5, 6, 99]),
    payloadFormat: () => pick(['bytes', 'json']),
    eventData: () => ({
      deploymentId: 'd',
      workflowName: or(text),
      stepName: or(text),
      token: or(() => pick(['a', 'b', text()])),
      resumeAt: or(number),
      retryAfter: or(number),
      isWebhook: or(() => true),
      executionContext: value(2),
      [text()]: value(2),
    }),
  };
}

/** An event as the SDK would ask for it, with some fields wrong. */
function jsonObject() {
  const fields = event();
  delete fields.runId;
  delete fields.payloadFormat;
  const document = request(fields);
  return document.startsWith('{') && document.endsWith('}') ? document : '{}';
}

function resume() {
  return {
    runId,
    hookId: correlationId,
    token: () => pick(['a', 'b', text()]),
    payloadFormat: () => pick(['bytes', 'json']),
    specVersion: number,
    v1Compat: () => random() < 0.5,
  };
}

function resumeKey() {
  return {
    token: () => pick(['a', 'b', text()]),
    keyDigest: () => pick(['k', text()]),
    payloadDigest: () => pick(['p', text()]),
    windowMs: number,
  };
}

/** The number of a waiter, or a random value; waits with a number are stopped later. */
function waiter() {
  lastWaiter += 1;
  const given = or(() => lastWaiter);
  if (typeof given === 'number') waiters.push(given >>> 0);
  return given;
}

function listQuery() {
  return request({
    runId,
    correlationId,
    workflowName: text,
    status: () => pick(['running', 'failed', text()]),
    limit: () => pick([1, 100, 1000, number()]),
    cursor: () => pick(['', '1', '0:1', text()]),
    sortOrder: () => pick(['asc', 'desc', text()]),
    resolveData: () => random() < 0.5,
  });
}

function readRequest() {
  lastReadId += 1;
  const readId = lastReadId;
  // The numbers may also come from random values.
  readIds.push(readId, 0, 1, 1000, 2 ** 31);
  return request({
    readId: () => readId,
    name: () => pick(['s', text()]),
    from: number,
    limit: () => pick([1, 64, number()]),
  });
}

function queueName() {
  return pick(['__wkf_workflow_w', '__wkf_step_s', '__wkf_workflow_', '__', text()]);
}
