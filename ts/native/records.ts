/**
 * Turns the addon's records into the SDK's entities.
 *
 * Every caller gets a new entity, because SDK 4.8.9 overwrites `hook.metadata` of the object that
 * it gets. Dates and bytes are made here, in the caller's realm. Bytes are plain `Uint8Array`s,
 * because a `Buffer` has its own `toJSON`.
 */
import type {
  DeadMessage,
  Event,
  HeldMessage,
  Hook,
  Page,
  Step,
  Wait,
  WorkflowRun,
} from '../../index';
import type { PayloadRef } from './binding';
import { copyBytes } from './json';
import { decodeStored } from './stored-json';

/** The field of `eventData` that holds an event's payload, by event type. */
export const PAYLOAD_FIELDS: Readonly<Record<string, string>> = {
  run_created: 'input',
  run_started: 'input',
  run_completed: 'output',
  run_failed: 'error',
  step_created: 'input',
  step_started: 'input',
  step_completed: 'result',
  step_failed: 'error',
  step_retrying: 'error',
  hook_created: 'metadata',
  hook_received: 'payload',
};

/** The fields of `eventData` that are points in time: milliseconds natively, `Date`s in the SDK. */
export const DATE_FIELDS = ['resumeAt', 'retryAfter', 'tokenRetentionUntil'] as const;

/**
 * A record in the JSON of a reply; `binding.ts` and `src/binding/replies.rs` describe its fields.
 */
export type NativeRecord = Record<string, unknown>;

/** The value of a payload; `undefined` when there is none. */
export function payloadOf(ref: PayloadRef, bytes: Uint8Array): unknown {
  if (ref === null || ref === undefined) return undefined;
  if ('json' in ref) return decodeStored(ref.json);
  return copyBytes(bytes, ref.at, ref.at + ref.len);
}

/** A run; without data, `input` and `output` are there and undefined, as the SDK's types say. */
export function toRun(record: NativeRecord, bytes: Uint8Array, resolveData = true): WorkflowRun {
  const dates = ['expiredAt', 'startedAt', 'completedAt', 'createdAt', 'updatedAt'];
  return outcome(record, bytes, dates, resolveData) as unknown as WorkflowRun;
}

/** A step; without data, `input` and `output` are there and undefined. */
export function toStep(record: NativeRecord, bytes: Uint8Array, resolveData = true): Step {
  const dates = ['startedAt', 'completedAt', 'createdAt', 'updatedAt', 'retryAfter'];
  return outcome(record, bytes, dates, resolveData) as unknown as Step;
}

/** A run or a step. Its error is an object, or the payload of its event. */
function outcome(
  { errorPayload, ...record }: NativeRecord,
  bytes: Uint8Array,
  dates: string[],
  resolveData: boolean,
): Record<string, unknown> {
  const result = entity(record, bytes, dates, ['input', 'output'], resolveData);
  const error = payloadOf(errorPayload as PayloadRef, bytes);
  if (error !== undefined) result.error = error;
  return result;
}

/** A wait. */
export function toWait(record: NativeRecord): Wait {
  const dates = ['resumeAt', 'completedAt', 'createdAt', 'updatedAt'];
  return entity(record, new Uint8Array(0), dates, [], true) as unknown as Wait;
}

/** A message that was given up. */
export function toDeadMessage(record: NativeRecord): DeadMessage {
  return toStoppedMessage(record, 'deadAt') as unknown as DeadMessage;
}

/** A held message. */
export function toHeldMessage(record: NativeRecord): HeldMessage {
  return toStoppedMessage(record, 'heldAt') as unknown as HeldMessage;
}

function toStoppedMessage({ stoppedAtMs, ...record }: NativeRecord, since: 'deadAt' | 'heldAt') {
  const message = { ...record, [`${since}Ms`]: stoppedAtMs };
  return entity(message, new Uint8Array(0), ['createdAt', since], [], true);
}

/** A hook; without data, or when it has none, the `metadata` key is absent. */
export function toHook(record: NativeRecord, bytes: Uint8Array, resolveData = true): Hook {
  // Written out for speed, because every resume makes a hook.
  const { metadata, createdAtMs, environment } = record;
  const hook = {
    runId: record.runId,
    hookId: record.hookId,
    token: record.token,
    ownerId: 'hookline',
    projectId: 'hookline',
    environment: environment ?? 'production',
    createdAt: new Date(createdAtMs as number),
    specVersion: record.specVersion,
    isWebhook: record.isWebhook,
  } as Hook;
  if (record.isSystem !== undefined) hook.isSystem = record.isSystem as boolean;
  if (record.tokenRetentionUntilMs !== undefined)
    hook.tokenRetentionUntil = new Date(record.tokenRetentionUntilMs as number);
  const value = resolveData ? payloadOf(metadata as PayloadRef, bytes) : undefined;
  if (value !== undefined) hook.metadata = value;
  return hook;
}

/**
 * An event, with its payload put back into `eventData`; an event without data has no `eventData`.
 */
export function toEvent(record: NativeRecord, bytes: Uint8Array, resolveData = true): Event {
  // Written out for speed, because every replay makes all events of its log.
  const { eventType, correlationId, eventData } = record;
  const event: Record<string, unknown> = {
    runId: record.runId,
    eventId: record.eventId,
    eventType,
    createdAt: new Date(record.createdAtMs as number),
    specVersion: record.specVersion,
  };
  if (correlationId !== null) event.correlationId = correlationId;
  if (typeof record.resumeId === 'string') event.resumeId = record.resumeId;
  const data: Record<string, unknown> = { ...(eventData as object | null | undefined) };
  for (const field of DATE_FIELDS) {
    const ms = data[field];
    if (typeof ms === 'number') data[field] = new Date(ms);
  }
  const value = resolveData ? payloadOf(record.payload as PayloadRef, bytes) : undefined;
  const payloadField = PAYLOAD_FIELDS[eventType as string];
  if (value !== undefined && payloadField) data[payloadField] = value;
  // If the caller gave `{}`, it is `{}` again. But an object that is only empty because the payload
  // was left out is dropped.
  const given = resolveData && eventData !== null && eventData !== undefined;
  if (given || Object.keys(data).length > 0) event.eventData = data;
  return event as unknown as Event;
}

/** A page of a list, each record converted. */
export function toPage<T>(
  page: { data: NativeRecord[]; cursor?: string | null; hasMore: boolean },
  convert: (record: NativeRecord) => T,
): Page<T> {
  return { data: page.data.map(convert), cursor: page.cursor ?? null, hasMore: page.hasMore };
}

/** A record without nulls, its `...AtMs` numbers as dates and its payloads resolved. */
function entity(
  record: NativeRecord,
  bytes: Uint8Array,
  dates: string[],
  payloads: string[],
  resolveData: boolean,
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(record)) {
    if (value !== null && !field.endsWith('Ms') && !payloads.includes(field)) result[field] = value;
  }
  for (const field of dates) {
    const ms = record[`${field}Ms`];
    if (typeof ms === 'number') result[field] = new Date(ms);
  }
  for (const field of payloads) {
    const value = resolveData ? payloadOf(record[field] as PayloadRef, bytes) : undefined;
    if (value !== undefined || !resolveData) result[field] = value;
  }
  return result;
}
