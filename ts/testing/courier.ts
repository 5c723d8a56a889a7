/**
 * Takes the deliveries of a World for tests: records them, and hands them to the SDK's handlers, if
 * there are any.
 *
 * A seeded run has no workflow code, so its wake-ups are only recorded, and count as done. The same
 * is true of all messages when no compiled workflows are loaded, as in the test of a route.
 */
import type { World } from '../../index';
import type { RecordedDelivery } from '../../testing';
import { allHandlers, type QueueHandler } from '../engine/handlers';
import { presentLine } from '../setup/installed-sdk';
import { makeFirstRequest, type Route } from '../world/route-handler';
import { loadCompiled } from './compiled';

const HANDLERS = Symbol.for('hookline//test-handlers');

/**
 * The handlers that the SDK registered with any World for tests of this process: a compiled bundle
 * registers its handlers once, when it is loaded, but every test has its own World.
 */
const globals = globalThis as { [HANDLERS]?: Map<string, QueueHandler> };
globals[HANDLERS] ??= new Map();
const handlers = globals[HANDLERS];

/** Our own handlers, which the table of all handlers holds too. */
const recorders = new WeakSet<QueueHandler>();

/** Takes the deliveries of one World. */
export function createCourier(world: World, isSeeded: (runId: unknown) => boolean) {
  const recorded: RecordedDelivery[] = [];
  const listening = new Set<string>();
  const routes = new Map<string, Route>();

  const recorder = (prefix: string): QueueHandler => {
    const record: QueueHandler = async (message, { queueName, messageId, attempt }) => {
      recorded.push({ queueName, messageId, attempt, message });
      const { runId, workflowRunId } = message as { runId?: unknown; workflowRunId?: unknown };
      if (isSeeded(runId ?? workflowRunId)) return;
      await loadCompiled();
      const handler = handlerFor(prefix) ?? (await firstHandlerOf(routes.get(prefix), prefix));
      if (!handler) return;
      return handler(message, { queueName, messageId, attempt });
    };
    recorders.add(record);
    return record;
  };

  return {
    /** Every delivery until now, in order. */
    deliveries: () => [...recorded],
    /** Takes deliveries from now on. */
    listen() {
      const namespace = process.env.WORKFLOW_QUEUE_NAMESPACE;
      for (const prefix of presentLine().delivery.prefixes(namespace)) {
        if (listening.has(prefix)) continue;
        listening.add(prefix);
        world.createQueueHandler(prefix, recorder(prefix));
      }
    },
    registerHandler(prefix: string, route: Route) {
      routes.set(prefix, route);
    },
    createQueueHandler(prefix: string, handler: QueueHandler) {
      handlers.set(prefix, handler);
      listening.add(prefix);
      return world.createQueueHandler(prefix, recorder(prefix));
    },
  };
}

/** The handler that a route registers at its first request. */
async function firstHandlerOf(route: Route | undefined, prefix: string) {
  if (!route) return undefined;
  await makeFirstRequest(route);
  return handlerFor(prefix);
}

/** The handler that the SDK registered for a prefix, with a World for tests or with another one. */
function handlerFor(prefix: string): QueueHandler | undefined {
  const known = handlers.get(prefix);
  if (known) return known;
  const elsewhere = allHandlers().findLast(
    (entry) => entry.prefix === prefix && !recorders.has(entry.handler),
  );
  return elsewhere?.handler;
}
