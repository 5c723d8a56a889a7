/**
 * Nobody's asynchronous context: the one in which no `AsyncLocalStorage` has a store.
 *
 * Often a request uses a World first (lazy initialisation). Handles that Node creates then (the
 * function that the addon calls for a delivery, the handle behind a signal's listener) keep the
 * context of that request. So the steps of every later user would see its session, its tenant or
 * its open transaction. Code that runs through this function keeps nobody's context.
 */
import { loadBinding } from '../native/binding';

/** Does the work in nobody's context; returns what it returns and throws what it throws. */
export function inNobodysContext<T>(work: () => T): T {
  let result: T | undefined;
  loadBinding().callInNobodysContext(() => {
    result = work();
  });
  return result as T;
}
