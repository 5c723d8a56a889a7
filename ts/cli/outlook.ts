/** The waits and messages that may still wake a run, as the addon reports them. */
import type { World } from '../../index';
import type { Engine } from '../engine/engine';
import { settled } from '../native/binding';
import { engineOf } from '../world/world';

/** A wait that is not over. */
export interface OpenWait {
  correlationId: string;
  createdAtMs: number;
  resumeAtMs: number;
}

/** A message in the queue, without its body. */
export interface QueuedMessage {
  messageId: string;
  queueName: string;
  /** The step that it executes; null for a replay. */
  stepId: string | null;
  attempt: number;
  createdAtMs: number;
  availableAtMs: number;
  leaseExpiresAtMs: number | null;
  lastError: string | null;
  deadAtMs: number | null;
  heldAtMs: number | null;
}

/** Reads the outlook of a run. */
export async function readOutlook(
  world: World,
  runId: string,
): Promise<{ waits: OpenWait[]; messages: QueuedMessage[] }> {
  const native = await (engineOf(world) as Engine).look();
  type Found = { waits: OpenWait[]; messages: QueuedMessage[] };
  return (await settled<Found>(native.outlook(runId))).json;
}
