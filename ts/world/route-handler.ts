/**
 * Direct delivery to the handler of an app's route. SDK 5.x registers its own handler at the first
 * request to the route, so a bundled server hands the route over (`registerHandler`), and the first
 * message makes that first request.
 */
import type { Engine } from '../engine/engine';
import { handlerFor, type QueueHandler, registerHandler } from '../engine/handlers';
import { hostGaveRoute } from '../engine/signals';
import { invalid } from '../native/errors';

/** The handler of an app's route. */
export type Route = (request: Request) => Promise<Response>;

/** Takes the messages of the queues with this prefix for the handler that the route will register. */
export function registerRoute(engine: Engine, prefix: string, route: Route): void {
  if (typeof prefix !== 'string') throw invalid('A queue name prefix must be a string.');
  if (typeof route !== 'function') throw invalid('A route handler must be a function.');
  hostGaveRoute();
  if (handlerFor(engine, prefix)) return;
  let asked: Promise<unknown> | undefined;
  const first: QueueHandler = async (message, meta) => {
    asked ??= makeFirstRequest(route).catch((error) => {
      asked = undefined;
      throw error;
    });
    await asked;
    const registered = handlerFor(engine, meta.queueName)?.handler;
    if (registered && registered !== first) return registered(message, meta);
    throw new Error(`The route for the queues ${prefix} has registered no handler.`);
  };
  registerHandler(engine, prefix, first);
}

/** Makes the SDK register the handler of a route, by a request that is no delivery. */
export async function makeFirstRequest(route: Route): Promise<void> {
  // Our own handler, which then gets it, refuses it.
  await route(new Request('http://localhost/.well-known/workflow/v1/flow', { method: 'POST' }));
}
