/** Runs, steps, events and hooks: the World's `Storage`, one native call per method. */
import type { Page, PageRequest, ReadOptions, Storage, WorkflowRun } from '../../index';
import { checkTimeout, runEnd } from '../engine/awaiting';
import type { Engine } from '../engine/engine';
import { stepAttempt } from '../lines/step-context';
import { type NativeReply, type NativeWorld, pointRead, settled } from '../native/binding';
import { HookNotFoundError } from '../native/errors';
import { type NativeRecord, toEvent, toHook, toPage, toRun, toStep } from '../native/records';
import { optionalText, optionalTexts, paging, text, wantsData } from '../native/requests';
import { presentLine } from '../setup/installed-sdk';
import { createEvent, createEventBatch } from './append';
import { hookToResumeAgain } from './step-resumes';

type NativePage = { data: NativeRecord[]; cursor?: string | null; hasMore: boolean };

/** The `Storage` part of a World. */
export function createStorage(engine: Engine): Storage {
  const read = readsOf(engine);
  const storage = {
    runs: runs(engine, read),
    steps: steps(read),
    events: {
      create: createEvent(engine),
      createBatch: createEventBatch(engine),
      ...events(read),
    },
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
  const live = async (native: NativeWorld, token: string, params?: ReadOptions) => {
    const { json, bytes } = await pointRead<{ hook: NativeRecord }>(native.getHookByToken(token));
    return toHook(json.hook, bytes, wantsData(params));
  };
  /** As the code of a step finds a hook, which it may have resumed before it was cut off. */
  const toResume = async (native: NativeWorld, token: string, params?: ReadOptions) => {
    const again = await hookToResumeAgain(engine, native, token);
    if (!again) return live(native, token, params);
    const hook = await live(native, token, params).catch((error) => {
      if (HookNotFoundError.is(error)) return again;
      throw error;
    });
    const { json, bytes } = await settled<{ run: NativeRecord }>(native.getRun(hook.runId, false));
    return presentLine().resumable(hook, toRun(json.run, bytes, false) as WorkflowRun);
  };
  return {
    async get(hookId: string, params?: ReadOptions) {
      const data = wantsData(params);
      text('hookId', hookId);
      return read.one('hook', (native) => native.getHook(hookId, data), toHook, data);
    },
    async getByToken(token: string, params?: ReadOptions) {
      text('token', token);
      const native = await engine.look();
      if (stepAttempt()) return toResume(native, token, params);
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
