/** `waitForHook`: waits for the hook that a workflow is about to make, without polling. */
import type { Hook, WaitForHookOptions } from '../../index';
import { hookWithToken } from '../engine/awaiting';
import type { Engine } from '../engine/engine';
import { TimeLimitError } from '../native/errors';
import { whileExpecting } from '../world/vigil';
import { whyNothingIsDelivered } from '../world/workers';
import { currentEngine } from '../world/world';
import { checkToken, hydrated } from './hooks';

/**
 * Waits for the live hook with this token; returns it with its metadata hydrated.
 *
 * @throws TimeLimitError when there is no such hook within `timeout`.
 * @throws HookNotFoundError for a token that no hook can have.
 * @throws WorkflowWorldError when the database cannot be used, or is closed meanwhile.
 */
export async function waitForHook(token: string, options?: WaitForHookOptions): Promise<Hook> {
  return waitForHookOf(currentEngine('waitForHook()'), token, options);
}

/** The same for a given engine, which need not be the engine of the process's World. */
export async function waitForHookOf(
  engine: Engine,
  token: string,
  { timeout, signal }: WaitForHookOptions = {},
): Promise<Hook> {
  if (typeof token !== 'string') throw new TypeError('A hook token must be a string.');
  checkToken(token);
  const hook = await whileExpecting(engine, hookWithToken(engine, token, { timeout, signal }));
  if (!hook) {
    // What cannot be found out must not hide that the hook did not come.
    const why = await whyNothingIsDelivered(engine).catch(() => undefined);
    throw new TimeLimitError('A hook with this token', timeout ?? 0, why);
  }
  return hydrated(hook, engine);
}
