/**
 * Replaces the SDK's `runtime/resume-hook.js` inside the bundle. An `AbortController` that came out
 * of a run is aborted by resuming a hook of that run, and the SDK's own function would bundle its
 * whole runtime.
 */
import type { World } from '../../../../index';
import { SPEC_VERSION } from '../spec-version';
import { getWorldLazy } from './world';

/** Serializes a payload for a run. */
type Serialize = (value: unknown, runId: string, world: World) => Promise<unknown>;

let serialize: Serialize | undefined;

/** Sets the function that serializes the payloads: it is in modules that import this one. */
export function serializeWith(given: Serialize): void {
  serialize = given;
}

/** Resumes the hook with a token; the event wakes its run. */
export async function resumeHook(token: string, value: unknown): Promise<void> {
  const world = await getWorldLazy();
  const { runId, hookId } = await world.hooks.getByToken(token);
  const payload = await serialize?.(value, runId, world);
  await world.events.create(runId, {
    eventType: 'hook_received',
    specVersion: SPEC_VERSION,
    correlationId: hookId,
    eventData: { token, payload },
  });
}
