/** Appending events: one, or several together. */
import type {
  BatchedEvent,
  CreateEventOptions,
  EventBatchResult,
  EventOutcome,
  EventReport,
  EventRequest,
  EventResult,
  WorkflowRun,
} from '../../index';
import { maxEvents } from '../engine/config';
import { codeOf, fenceOf } from '../engine/delivery';
import type { Engine } from '../engine/engine';
import { settled } from '../native/binding';
import { invalid, isCodeMismatch, type NativeFault, toError } from '../native/errors';
import {
  type NativeRecord,
  PAYLOAD_FIELDS,
  toEvent,
  toHook,
  toRun,
  toStep,
  toWait,
} from '../native/records';
import { encodeEvent, encodeEvents, type StepResume, text, wantsData } from '../native/requests';
import { presentLine } from '../setup/installed-sdk';
import { runKey } from './keys';
import { resumeOnce, sentByStep } from './step-resumes';

/** `events.create` of a World. */
export function createEvent(engine: Engine) {
  return async (
    runId: string | null,
    event: EventRequest,
    params?: CreateEventOptions,
  ): Promise<EventResult> => {
    const mismatch = await mismatchOf(engine, runId, event);
    const fence = fenceOf(engine, runId);
    const append = async (stepResume?: StepResume) => {
      const { request, payload } = encodeEvent(runId, event, fence, mismatch, params, stepResume);
      const native = await engine.connect();
      const appended = settled<NativeRecord>(native.appendEvent(request, payload));
      return mismatch ? appended.catch(mismatch.explain) : appended;
    };
    const sent = runId !== null && event?.eventType === 'hook_received' && resumeOf(runId, event);
    const { json, bytes } = await (sent ? resumeOnce(engine, sent, append) : append());
    return withPayload(
      event as AskedEvent,
      toEventResult(json, bytes, wantsData(params)),
      wantsData(params),
    );
  };
}

function resumeOf(runId: string, { eventData }: EventRequest) {
  const { token, payload } = (eventData ?? {}) as Record<string, unknown>;
  return sentByStep(runId, token, payload);
}

/** `events.createBatch` of a World: one commit, with an outcome for each event. */
export function createEventBatch(engine: Engine) {
  return async (
    runId: string,
    batch: BatchedEvent[],
    params?: CreateEventOptions,
  ): Promise<EventBatchResult> => {
    text('runId', runId);
    if (!Array.isArray(batch)) throw invalid('A batch must be an array of events.');
    const fence = fenceOf(engine, runId);
    const events = batch.map((entry) => entry?.event);
    const mismatches = await Promise.all(
      events.map((event) => mismatchOf(engine, runId, (event ?? {}) as EventRequest)),
    );
    const { list, bytes } = encodeEvents(
      events.map((event, index) =>
        encodeEvent(runId, event as EventRequest, fence, mismatches[index]),
      ),
    );
    const native = await engine.connect();
    const mismatch = mismatches.find((one) => one !== undefined);
    const appended = settled<{ results: NativeRecord[] }>(
      native.appendEvents(`{"events":${list}}`, bytes),
    );
    const { json, bytes: block } = await (mismatch ? appended.catch(mismatch.explain) : appended);
    const data = wantsData(params);
    const results = json.results.map((record, index) => {
      if (record.fault) return refused(record.fault as NativeFault);
      const result = toEventResult(record, block, data);
      return { status: 200, ...withPayload(events[index] as AskedEvent, result, data) };
    });
    return { results } as EventBatchResult;
  };
}

/** The HTTP-like statuses of the errors that carry none in each line of the SDK. */
const STATUSES: Readonly<Record<string, number>> = {
  RUN_NOT_FOUND: 404,
  HOOK_NOT_FOUND: 404,
  NOT_FOUND: 404,
  ENTITY_CONFLICT: 409,
  RUN_EXPIRED: 410,
  RUN_NOT_SUPPORTED: 422,
  TOO_EARLY: 425,
};

/**
 * The outcome of an event of a batch that was refused.
 *
 * @throws the error of a fault that says nothing of the event itself.
 */
function refused(fault: NativeFault): { status: number; error: string; message: string } {
  const status = STATUSES[fault.code] ?? Number(fault.details?.status ?? 500);
  if (status >= 500) throw toError(fault);
  return { status, error: fault.code, message: fault.message };
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
