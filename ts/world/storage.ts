/** Runs, steps, events and hooks: the World's `Storage`, one native call per method. */
import type {
  CreateEventOptions,
  EventOutcome,
  EventReport,
  EventRequest,
  EventResult,
  Page,
  PageRequest,
  ReadOptions,
  Storage,
  WorkflowRun,
} from '../../index';
import { checkTimeout, runEnd } from '../engine/awaiting';
import { maxEvents } from '../engine/config';
import { codeOf, fenceOf } from '../engine/delivery';
import type { Engine } from '../engine/engine';
import { type NativeReply, type NativeWorld, pointRead, settled } from '../native/binding';
import { isCodeMismatch } from '../native/errors';
import {
  type NativeRecord,
  PAYLOAD_FIELDS,
  toEvent,
  toHook,
  toPage,
  toRun,
  toStep,
  toWait,
} from '../native/records';
import {
  encodeEvent,
  optionalText,
  optionalTexts,
  paging,
  text,
  wantsData,
} from '../native/requests';
import { presentLine } from '../setup/installed-sdk';
import { runKey } from './keys';

type NativePage = { data: NativeRecord[]; cursor?: string | null; hasMore: boolean };

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
      filter: Record<string, string | string[] | undefined>,
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
    /** Returns the run when it has ended, or when the time is over. */
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
    async list(params?: ListParams<{ workflowName?: string; status?: string | string[] }>) {
      const filter = {
        workflowName: optionalText('workflowName', params?.workflowName),
        status: optionalTexts('status', params?.status),
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
      const read = pointRead<{ hook: NativeRecord }>(native.getHookByToken(token));
      const { json, bytes } = read instanceof Promise ? await read : read;
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
    const mismatch = await mismatchOf(engine, runId, event);
    const fence = fenceOf(engine, runId);
    const { request, payload } = encodeEvent(runId, event, fence, mismatch, params);
    const native = await engine.connect();
    const appended = settled<NativeRecord>(native.appendEvent(request, payload));
    const { json, bytes } = await (mismatch ? appended.catch(mismatch.explain) : appended);
    return withPayload(
      event as AskedEvent,
      toEventResult(json, bytes, wantsData(params)),
      wantsData(params),
    );
  };
}

const STEP_MISSING = 'the step is not in the code';

/**
 * Whether a delivery writes the event only because the code of this process does not fit the run.
 * If other code may fit, the store refuses the event, and other workers get the message.
 */
async function mismatchOf(engine: Engine, runId: string | null, event: EventRequest) {
  const code = codeOf(engine, runId);
  if (!code || runId === null) return undefined;
  const line = presentLine();
  const keyOf = (id: string) => runKey(engine, id, line);
  const lacksStep = code.lacksStep && event.eventType === 'step_started';
  const misfit = lacksStep ? STEP_MISSING : await line.delivery.misfitOf(event, runId, keyOf);
  if (!misfit) return undefined;
  if (engine.config().codeMismatch === 'fail') return undefined;
  const explain = (error: Error): never => {
    if (isCodeMismatch(error)) error.message = `${misfit}: ${error.message}`;
    throw error;
  };
  return { codeLoadedAtMs: code.loadedAtMs, explain };
}

/** The events whose payload belongs to the event that creates their run or step. */
const PAYLOAD_BEFORE: ReadonlySet<string> = new Set(['run_started', 'step_started']);

type AskedEvent = { eventType: string; eventData?: Record<string, unknown> };

/**
 * Puts the caller's payload into the appended event, because the payload does not cross back. An
 * event that the World logged instead (`hook_conflict`), or whose payload the event before it carries
 * (`run_started`, `step_started`), has none.
 */
function withPayload(
  { eventType, eventData }: AskedEvent,
  result: EventResult,
  resolveData: boolean,
): EventResult {
  const field = PAYLOAD_FIELDS[eventType];
  const event = result.event as { eventType: string; eventData?: object } | undefined;
  const logged = event?.eventType === eventType && !PAYLOAD_BEFORE.has(eventType);
  if (event && logged && resolveData && field && eventData?.[field] !== undefined) {
    event.eventData = { ...event.eventData, [field]: eventData[field] };
  }
  return result;
}

function toEventResult(json: NativeRecord, bytes: Uint8Array, resolveData: boolean): EventResult {
  const result: EventOutcome & Partial<EventReport> = {};
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
  if (json.stepCreated === true) result.stepCreated = true;
  if (Array.isArray(json.events)) {
    result.events = json.events.map((record: NativeRecord) => toEvent(record, bytes, resolveData));
    result.cursor = (json.cursor ?? null) as string | null;
    result.hasMore = json.hasMore === true;
  }
  return result as EventResult;
}
