/** The log of a World for tests, with payloads as values. */
import type { CryptoKey, Event, World } from '../../index';
import type { LoggedEvent, RecordedResume } from '../../testing';
import type { Serializer } from '../lines/line';
import { lineOfSpec } from '../lines/table';
import { isBytes } from '../native/json';
import { PAYLOAD_FIELDS } from '../native/records';
import { encryptionKeyOf } from '../world/keys';
import { everything } from '../world/pages';
import { currentWorld } from '../world/world';

/** The records that a test asserts on. */
export function createLogReader(world: World) {
  async function eventsOf(runId: string): Promise<LoggedEvent[]> {
    const events = await everything<Event>((page) => world.events.list({ runId, ...page }));
    const run = await world.runs.get(runId);
    const key = await encryptionKeyOf(world, run);
    const { serializer } = lineOfSpec(run.specVersion);
    return Promise.all(events.map((event) => hydrated(event, key, serializer)));
  }

  /** All events: of one run in the order of its log, of all runs in the order of their time. */
  async function log(runId?: string): Promise<LoggedEvent[]> {
    if (runId !== undefined) return eventsOf(runId);
    const runs = await everything((page) => world.runs.list({ resolveData: 'none', ...page }));
    const logs = await Promise.all(runs.map((run) => eventsOf(run.runId)));
    // The ids of a log are ULIDs, which sort as its positions do; the sort is stable.
    return logs.flat().sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
  }

  /** Every payload that was sent to a hook, in order. */
  async function resumes(token?: string): Promise<RecordedResume[]> {
    const events = await log();
    const tokens = new Map<string | undefined, string>();
    for (const { eventType, correlationId, eventData } of events) {
      if (eventType === 'hook_created') tokens.set(correlationId, String(eventData?.token));
    }
    const received = events.filter(({ eventType }) => eventType === 'hook_received');
    const all = received.map(({ runId, correlationId, createdAt, eventData }) => ({
      token: tokens.get(correlationId) ?? '',
      hookId: correlationId ?? '',
      runId,
      payload: eventData?.payload,
      resumedAt: createdAt,
    }));
    return token === undefined ? all : all.filter((resume) => resume.token === token);
  }

  return { log, resumes };
}

async function hydrated(
  event: Event,
  key: CryptoKey | undefined,
  serializer: Serializer,
): Promise<LoggedEvent> {
  const field = PAYLOAD_FIELDS[event.eventType] ?? '';
  const data = (event as LoggedEvent).eventData;
  if (!isBytes(data?.[field])) return event as LoggedEvent;
  const value = await serializer.hydrateMetadata(data[field], event.runId, key, currentWorld);
  return { ...event, eventData: { ...data, [field]: value } } as LoggedEvent;
}
