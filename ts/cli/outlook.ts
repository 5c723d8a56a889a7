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

/** What may still wake a run, and what it needs of the process that continues it. */
interface Outlook {
  demand: { deploymentId: string; specVersion: number };
  waits: OpenWait[];
  messages: QueuedMessage[];
}

/** Reads the outlook of a run that exists. */
export async function readOutlook(world: World, runId: string): Promise<Outlook> {
  const native = await (engineOf(world) as Engine).look();
  return (await settled<Outlook>(native.outlook(runId))).json;
}
