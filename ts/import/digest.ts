/** Digests that compare the logs of two Worlds: equal logs have equal digests in every World. */
import { createHash } from 'node:crypto';
import type { Event } from '../../index';
import { isBytes } from '../native/json';
import { PAYLOAD_FIELDS } from '../native/records';

/** A digest of a log, without event ids: each World derives its own. */
export function digestOf(events: Event[], { withValues }: { withValues: boolean }): string {
  const hash = createHash('sha256');
  let latest = 0;
  for (const event of events) {
    // In this World the times of a log never decrease.
    latest = Math.max(latest, event.createdAt.getTime());
    // `run_created` has the data of the run; not every World repeats it here.
    const data = event.eventType === 'run_started' ? {} : dataOf(event, withValues);
    const { eventType, correlationId = null, resumeId } = event as Event & { resumeId?: string };
    const named = resumeId === undefined ? [] : [resumeId];
    hash.update(`${canonical([eventType, correlationId, latest, data, ...named])}\n`);
  }
  return hash.digest('hex');
}

function dataOf(event: Event, withValues: boolean): unknown {
  const { eventData } = event as { eventData?: object };
  const valueField = PAYLOAD_FIELDS[event.eventType] ?? '';
  return { ...eventData, ...(!withValues && { [valueField]: undefined }) };
}

/** JSON with sorted keys; bytes as base64, dates as milliseconds, nothing for `undefined`. */
export function canonical(value: unknown): string {
  if (isBytes(value)) return `b"${Buffer.from(value).toString('base64')}"`;
  if (value instanceof Date) return String(value.getTime());
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`);
    return `{${fields.join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}
