/**
 * Nobody's asynchronous context: the one in which no `AsyncLocalStorage` has a store.
 *
 * A World is often used first by a request (lazy initialisation). Whatever Node creates then (the
 * function that the addon calls for a delivery, the handle behind a signal's listener) keeps that
 * request's context, so that the steps of every later user would see its session, its tenant or its
 * open transaction. What is created or called in here keeps nobody's.
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
