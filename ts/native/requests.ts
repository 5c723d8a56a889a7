/** Requests to the addon: the arguments of a caller, checked and turned into texts and bytes. */
import type { CreateEventOptions, EventRequest, PageRequest, ReadOptions } from '../../index';
import { invalid } from './errors';
import { encodeJson, isBytes } from './json';
import { kindOf } from './kind';
import { DATE_FIELDS, PAYLOAD_FIELDS } from './records';

/** The fields of `eventData` that the rules read. */
const FIELD_TYPES = [
  ['deploymentId', 'string'],
  ['workflowName', 'string'],
  ['stepName', 'string'],
  ['stack', 'string'],
  ['errorCode', 'string'],
  ['token', 'string'],
  ['isWebhook', 'boolean'],
  ['isSystem', 'boolean'],
  ['ownerMessageId', 'string'],
  ['encryptionPublicKey', 'string'],
  ['allowReservedAttributes', 'boolean'],
] as const;

/** The names by which workflow code knows the points in time. */
const TIMES: Readonly<Record<string, string>> = {
  resumeAt: 'The end of a sleep (eventData.resumeAt)',
  retryAfter: 'The retryAfter of a RetryableError (eventData.retryAfter)',
  tokenRetentionUntil: 'The experimental_minRetention of a hook (eventData.tokenRetentionUntil)',
};

/** The lease of the writing delivery, as it crosses to the addon. */
export interface Fence {
  messageId: string;
  leaseToken: string;
  /** The release of the delivery, if it has adopted the run. */
  adoptedBy?: string;
}

/** A resume that the code of a step makes (`src/domain/step_resume.rs`). */
export interface StepResume {
  place: string;
  payload: string;
  nth: number;
}

/** The code of this process does not fit the run (`src/domain/queue/hold.rs`). */
export interface CodeMismatch {
  codeLoadedAtMs: number;
}

/**
 * An `appendEvent` request as it crosses to the addon: the JSON text, and the payload beside it.
 */
export interface EncodedEvent {
  request: string;
  payload?: Uint8Array;
}

/**
 * Encodes an event for the addon: the payload apart from the other fields, dates as milliseconds.
 *
 * @param fence - The delivery that appends it.
 * @param codeMismatch - Set if only the code of this process leads to the event.
 * @param params - What the caller knows of the log, and the name of a resume.
 * @param stepResume - Set if the code of a step resumes a hook.
 * @throws WorkflowWorldError with status 400 for a request that no World could store.
 */
export function encodeEvent(
  runId: string | null,
  event: EventRequest,
  fence?: Fence,
  codeMismatch?: CodeMismatch,
  params?: CreateEventOptions,
  stepResume?: StepResume,
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
    codeMismatch,
    stepResume,
    ...seenOrNamed(params),
  });
  return { request: request as string, payload: payload?.bytes };
}

/**
 * Puts encoded events into one list, and their payloads into one block of bytes.
 *
 * @param also - Fields that an event has beside it, as JSON.
 */
export function encodeEvents(
  events: EncodedEvent[],
  also: (index: number) => string[] = () => [],
): { list: string; bytes: Uint8Array } {
  const block: Uint8Array[] = [];
  let at = 0;
  const encoded = events.map(({ request, payload }, index) => {
    const fields = [`"event":${request}`, ...also(index)];
    if (payload) {
      fields.push(`"payload":${JSON.stringify({ at, len: payload.length })}`);
      block.push(payload);
      at += payload.length;
    }
    return `{${fields.join(',')}}`;
  });
  return { list: `[${encoded.join(',')}]`, bytes: new Uint8Array(Buffer.concat(block)) };
}

/**
 * The parameters that cross: which part of the log the caller knows, and the name of a resume. What
 * it knows is only a hint, so a malformed hint is none.
 */
function seenOrNamed(params: CreateEventOptions | undefined) {
  const { eventCount, sinceCursor, skipPreload, resumeId, resumePayloadDigest } = params ?? {};
  return {
    eventCount: Number.isSafeInteger(eventCount) ? eventCount : undefined,
    sinceCursor: typeof sinceCursor === 'string' ? sinceCursor : undefined,
    skipPreload: skipPreload === true || undefined,
    resumeId: optionalText('resumeId', resumeId) || undefined,
    resumePayloadDigest: optionalText('resumePayloadDigest', resumePayloadDigest) || undefined,
  };
}

/** Checks the types of fields here, because the addon could not name the wrong field. */
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
  // The surrogate would be replaced on its way to the store, and the replay would not recognise its
  // token.
  if (!token.isWellFormed()) {
    throw invalid('The token of a hook must be text, but holds half of a surrogate pair.');
  }
}

/**
 * The JSON text of a value that a caller stores; `undefined` for a value that JSON cannot express.
 *
 * @throws WorkflowWorldError with status 400 when the value cannot be written as JSON. The message
 *   leaves JavaScript's own error out, because that may name parts of a secret, or come from the
 *   value itself.
 */
export function storableJson(value: unknown): string | undefined {
  try {
    return encodeJson(value);
  } catch {
    throw invalid(
      'The value to be stored cannot be written as JSON: it holds a bigint, contains itself, or cannot be read.',
    );
  }
}

/** Encodes a payload: bytes as they are, any other value as typed JSON, `undefined` not at all. */
export function encodePayload(
  value: unknown,
): { format: 'bytes' | 'json'; bytes: Uint8Array } | undefined {
  if (isBytes(value)) return { format: 'bytes', bytes: value };
  const json = storableJson(value);
  return json === undefined ? undefined : { format: 'json', bytes: new TextEncoder().encode(json) };
}

/** Whether a caller wants payloads: yes, unless `resolveData` is `'none'`. */
export function wantsData(params: ReadOptions | null | undefined): boolean {
  return params?.resolveData !== 'none';
}

/** Checks which page of a list a caller wants, in which order, and whether with payloads. */
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
  // `new Date` throws its own error for a bigint or a symbol.
  const isPointInTime = ['number', 'string', 'object'].includes(typeof value);
  const ms = isPointInTime ? new Date(value as string | number | Date).getTime() : Number.NaN;
  if (Number.isNaN(ms)) throw invalid(`${TIMES[field] ?? field} must be a valid date.`);
  return ms;
}

export function text(name: string, value: unknown): string {
  if (typeof value !== 'string') throw invalid(`${name} must be a string.`);
  return value;
}

export function optionalText(name: string, value: unknown): string | undefined {
  return value === undefined || value === null ? undefined : text(name, value);
}

/** A text, or a list of texts of which one has to apply. */
export function optionalTexts(name: string, value: unknown): string | string[] | undefined {
  return Array.isArray(value) ? value.map((one) => text(name, one)) : optionalText(name, value);
}
