/** Runs, steps, events and hooks: the World's `Storage`, one native call per method. */
import type {
  CreateEventOptions,
  EventRequest,
  EventResult,
  Page,
  PageRequest,
  ReadOptions,
  Storage,
  WorkflowRun,
} from '../index';
import { checkTimeout, runEnd } from './awaiting';
import { maxEvents } from './config';
import { type Fence, fenceOf } from './delivery';
import type { Engine } from './engine';
import { invalid } from './errors';
import { encodeJson, isBytes } from './json';
import { kindOf } from './kind';
import { answerOf, type NativeReply, type NativeWorld, settled } from './native';
import {
  DATE_FIELDS,
  type NativeRecord,
  PAYLOAD_FIELDS,
  toEvent,
  toHook,
  toPage,
  toRun,
  toStep,
  toWait,
} from './records';

/** The fields of `eventData` that the rules read. */
const FIELD_TYPES = [
  ['deploymentId', 'string'],
  ['workflowName', 'string'],
  ['stepName', 'string'],
  ['stack', 'string'],
  ['errorCode', 'string'],
  ['token', 'string'],
  ['isWebhook', 'boolean'],
] as const;

/** What workflow code knows the points in time by. */
const TIMES: Readonly<Record<string, string>> = {
  resumeAt: 'The end of a sleep (eventData.resumeAt)',
  retryAfter: 'The retryAfter of a RetryableError (eventData.retryAfter)',
};

type NativePage = { data: NativeRecord[]; cursor?: string | null; hasMore: boolean };

/** An `appendEvent` request as it crosses: the JSON text, and the payload beside it. */
interface EncodedEvent {
  request: string;
  payload?: Uint8Array;
}

/** The `Storage` part of a World. */
export function createStorage(engine: Engine): Storage {
  const read = readsOf(engine);
  const storage = {
    runs: runs(engine, read),
    steps: steps(read),
    events: { create: createEvent(engine), ...events(read) },
    hooks: hooks(engine, read),
  };
  // The SDK's interface overloads each read by `resolveData`; one function answers all of them.
  return storage as unknown as Storage;
}

type Convert<T> = (record: NativeRecord, bytes: Uint8Array, resolveData: boolean) => T;
type ListMethod =
  | 'listRuns'
  | 'listSteps'
  | 'listEvents'
  | 'listEventsByCorrelationId'
  | 'listHooks';
type ListParams<Filter> = ReadOptions & PageRequest & Filter;

/** The two shapes of every read: one entity, `{ [name]: record }`, and a page of them. */
function readsOf(engine: Engine) {
  return {
    async one<T>(
      name: string,
      call: (native: NativeWorld) => Promise<NativeReply>,
      convert: Convert<T>,
      resolveData: boolean,
    ): Promise<T> {
      const reply = call(await engine.look());
      const { json, bytes } = await settled<Record<string, NativeRecord>>(reply);
      return convert(json[name] as NativeRecord, bytes, resolveData);
    },
    async page<T>(
      method: ListMethod,
      filter: Record<string, string | undefined>,
      params: (ReadOptions & PageRequest) | undefined,
      convert: Convert<T>,
    ): Promise<Page<T>> {
      const query = { ...filter, ...paging(params) };
      const native = await engine.look();
      const { json, bytes } = await settled<NativePage>(native[method](JSON.stringify(query)));
      return toPage(json, (record) => convert(record, bytes, query.resolveData));
    },
  };
}

type Reads = ReturnType<typeof readsOf>;

function runs(engine: Engine, read: Reads) {
  const get = (runId: string, data: boolean) =>
    read.one('run', (native) => native.getRun(runId, data), toRun, data);
  return {
    async get(runId: string, params?: ReadOptions) {
      const data = wantsData(params);
      text('runId', runId);
      return get(runId, data);
    },
    /** The run once it has ended, or as it is when the time is over. */
    async waitForTerminalStatus(
      runId: string,
      { timeoutMs, ...params }: ReadOptions & { timeoutMs?: number } = {},
    ) {
      const data = wantsData(params);
      text('runId', runId);
      checkTimeout(timeoutMs, 'timeoutMs');
      await runEnd(engine, runId, { timeout: timeoutMs });
      return get(runId, data);
    },
    async list(params?: ListParams<{ workflowName?: string; status?: string }>) {
      const filter = {
        workflowName: optionalText('workflowName', params?.workflowName),
        status: optionalText('status', params?.status),
      };
      return read.page('listRuns', filter, params, toRun);
    },
  };
}

function steps(read: Reads) {
  return {
    async get(runId: string | undefined, stepId: string, params?: ReadOptions) {
      const data = wantsData(params);
      optionalText('runId', runId);
      text('stepId', stepId);
      return read.one('step', (native) => native.getStep(runId, stepId, data), toStep, data);
    },
    async list(params: ListParams<{ runId: string }>) {
      return read.page('listSteps', { runId: text('runId', params?.runId) }, params, toStep);
    },
  };
}

function events(read: Reads) {
  return {
    async get(runId: string, eventId: string, params?: ReadOptions) {
      const data = wantsData(params);
      text('runId', runId);
      text('eventId', eventId);
      return read.one('event', (native) => native.getEvent(runId, eventId, data), toEvent, data);
    },
    async list(params: ListParams<{ runId: string }>) {
      return read.page('listEvents', { runId: text('runId', params?.runId) }, params, toEvent);
    },
    async listByCorrelationId(params: ListParams<{ correlationId: string; runId?: string }>) {
      const filter = {
        correlationId: text('correlationId', params?.correlationId),
        runId: optionalText('runId', params.runId),
      };
      return read.page('listEventsByCorrelationId', filter, params, toEvent);
    },
  };
}

function hooks(engine: Engine, read: Reads) {
  return {
    async get(hookId: string, params?: ReadOptions) {
      const data = wantsData(params);
      text('hookId', hookId);
      return read.one('hook', (native) => native.getHook(hookId, data), toHook, data);
    },
    async getByToken(token: string, params?: ReadOptions) {
      text('token', token);
      const native = await engine.look();
      const { json, bytes } = answerOf<{ hook: NativeRecord }>(native.getHookByToken(token));
      return toHook(json.hook, bytes, wantsData(params));
    },
    async list(params?: ListParams<{ runId?: string }>) {
      return read.page(
        'listHooks',
        { runId: optionalText('runId', params?.runId) },
        params,
        toHook,
      );
    },
  };
}

/** `events.create` of a World. */
export function createEvent(engine: Engine) {
  return async (
    runId: string | null,
    event: EventRequest,
    params?: CreateEventOptions,
  ): Promise<EventResult> => {
    const { request, payload } = encodeEvent(runId, event, fenceOf(engine, runId));
    const native = await engine.connect();
    const { json, bytes } = await settled<NativeRecord>(native.appendEvent(request, payload));
    return withPayload(
      event as AskedEvent,
      toEventResult(json, bytes, wantsData(params)),
      wantsData(params),
    );
  };
}

/**
 * An event as the addon takes it: the payload field apart from the rest, dates as milliseconds.
 *
 * @param fence - The delivery that appends it.
 * @throws WorkflowWorldError with status 400 for a request that no World could store.
 */
export function encodeEvent(
  runId: string | null,
  event: EventRequest,
  fence?: Fence,
): EncodedEvent {
  if (event === null || typeof event !== 'object') throw invalid('An event must be an object.');
  const { eventType, correlationId, specVersion } = event;
  text('eventType', eventType);
  if (runId !== null) text('runId', runId);
  else if (eventType !== 'run_created') throw invalid(`A ${eventType} event needs a runId.`);
  const payloadField = PAYLOAD_FIELDS[eventType] ?? '';
  const { [payloadField]: value, ...rest } = (event.eventData ?? {}) as Record<string, unknown>;
  for (const field of DATE_FIELDS) {
    if (rest[field] !== undefined && rest[field] !== null)
      rest[field] = milliseconds(field, rest[field]);
  }
  checkFields(eventType, rest);
  const payload = encodePayload(value);
  const request = storableJson({
    runId,
    eventType,
    correlationId: optionalText('correlationId', correlationId),
    specVersion,
    eventData: event.eventData === undefined ? undefined : rest,
    payloadFormat: payload?.format,
    fence,
  });
  return { request: request as string, payload: payload?.bytes };
}

/** Refuses here what the addon could only say of that a field has the wrong type. */
function checkFields(eventType: string, data: Record<string, unknown>): void {
  if (eventType === 'hook_created') checkNewToken(data.token);
  for (const [field, type] of FIELD_TYPES) {
    const value = data[field] ?? undefined;
    if (value === undefined || typeof value === type) continue;
    throw invalid(`eventData.${field} must be a ${type}, but is ${kindOf(value)}.`);
  }
}

function checkNewToken(token: unknown): void {
  if (typeof token !== 'string') {
    const advice =
      'pass a string to createHook(), such as String(id), and the same to resumeHook()';
    throw invalid(`The token of a hook must be a string, but is ${kindOf(token)}: ${advice}.`);
  }
  // It would be replaced on its way to the store, and the replay would not know it again.
  if (!token.isWellFormed()) {
    throw invalid('The token of a hook must be text, but holds half of a surrogate pair.');
  }
}

/**
 * The JSON text of what a caller wants to have stored; `undefined` when JSON has none for it.
 *
 * @throws WorkflowWorldError with status 400 when there is no JSON for it. What JavaScript says of the
 *   reason may name parts of a secret, or be an error of the value's own, so it is left out.
 */
export function storableJson(value: unknown): string | undefined {
  try {
    return encodeJson(value);
  } catch {
    throw invalid(
      'What is to be stored has no JSON: it holds a bigint, contains itself, or cannot be read.',
    );
  }
}

/** How a payload is stored: bytes as they are, any other value as typed JSON, `undefined` not. */
export function encodePayload(
  value: unknown,
): { format: 'bytes' | 'json'; bytes: Uint8Array } | undefined {
  if (isBytes(value)) return { format: 'bytes', bytes: value };
  const json = storableJson(value);
  return json === undefined ? undefined : { format: 'json', bytes: new TextEncoder().encode(json) };
}

type AskedEvent = { eventType: string; eventData?: Record<string, unknown> };

/**
 * The appended event with the payload that its caller gave: it does not cross back. What the World
 * itself logged instead (`hook_conflict`), or keeps elsewhere (`run_started`), has none.
 */
function withPayload(
  { eventType, eventData }: AskedEvent,
  result: EventResult,
  resolveData: boolean,
): EventResult {
  const field = PAYLOAD_FIELDS[eventType];
  const event = result.event as { eventType: string; eventData?: object } | undefined;
  const logged = event?.eventType === eventType && eventType !== 'run_started';
  if (event && logged && resolveData && field && eventData?.[field] !== undefined) {
    event.eventData = { ...event.eventData, [field]: eventData[field] };
  }
  return result;
}

function toEventResult(json: NativeRecord, bytes: Uint8Array, resolveData: boolean): EventResult {
  const result: EventResult = {};
  const given = (name: string) => (json[name] ?? undefined) as NativeRecord | undefined;
  const { event, run, step, hook, wait } = Object.fromEntries(
    ['event', 'run', 'step', 'hook', 'wait'].map((name) => [name, given(name)]),
  );
  if (event) result.event = toEvent(event, bytes, resolveData);
  if (run) {
    result.run = toRun(run, bytes, resolveData) as WorkflowRun;
    const limit = maxEvents();
    if (limit !== undefined) result.maxEvents = limit;
  }
  if (step) result.step = toStep(step, bytes, resolveData);
  if (hook) result.hook = toHook(hook, bytes, resolveData);
  if (wait) result.wait = toWait(wait);
  if (Array.isArray(json.events)) {
    result.events = json.events.map((record: NativeRecord) => toEvent(record, bytes));
    result.cursor = (json.cursor ?? null) as string | null;
    result.hasMore = json.hasMore === true;
  }
  return result;
}

function wantsData(params: ReadOptions | null | undefined): boolean {
  return params?.resolveData !== 'none';
}

export function paging(params: (ReadOptions & PageRequest) | null | undefined) {
  const { limit, cursor, sortOrder } = params?.pagination ?? {};
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit > 0)) {
    throw invalid('pagination.limit must be a positive integer.');
  }
  if (sortOrder !== undefined && sortOrder !== 'asc' && sortOrder !== 'desc') {
    throw invalid("pagination.sortOrder must be 'asc' or 'desc'.");
  }
  return {
    limit,
    // An empty cursor means the first page, as in the SDK's own Worlds.
    cursor: optionalText('pagination.cursor', cursor) || undefined,
    sortOrder,
    resolveData: wantsData(params),
  };
}

function milliseconds(field: string, value: unknown): number {
  // A bigint or a symbol would be an error of JavaScript's own.
  const isPointInTime = ['number', 'string', 'object'].includes(typeof value);
  const ms = isPointInTime ? new Date(value as string | number | Date).getTime() : Number.NaN;
  if (Number.isNaN(ms)) throw invalid(`${TIMES[field] ?? field} must be a date, but is none.`);
  return ms;
}

function text(name: string, value: unknown): string {
  if (typeof value !== 'string') throw invalid(`${name} must be a string.`);
  return value;
}

function optionalText(name: string, value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : text(name, value);
}
