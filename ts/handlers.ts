/**
 * Which handler of this process takes which messages.
 *
 * The SDK registers its handlers on one World object and starts another, and a bundler may evaluate
 * this module several times, so the table lies on `globalThis`. Entries compare by the engine's key
 * only when a message arrives: at registration the environment may not be complete yet.
 */
import type { Engine } from './engine';
import { decodeJson } from './json';
import type { NativeDelivery, NativeWorld } from './native';

/** What the SDK passes to `createQueueHandler`. */
export type QueueHandler = (
  message: unknown,
  meta: { attempt: number; queueName: string; messageId: string },
  // biome-ignore lint/suspicious/noConfusingVoidType: the SDK's own type says void
) => Promise<void | { timeoutSeconds: number }>;

interface Registration {
  prefix: string;
  engine: Engine;
  handler: QueueHandler;
}

interface Table {
  registrations: Registration[];
  /** Opened Worlds: they are told of handlers that come later, and can verify deliveries. */
  opened: Map<Engine, NativeWorld>;
}

const TABLE = Symbol.for('hookline//handlers');

function table(): Table {
  const globals = globalThis as { [TABLE]?: Table };
  globals[TABLE] ??= { registrations: [], opened: new Map() };
  return globals[TABLE];
}

/** Adds a handler; one that the same World registered for the prefix before is replaced (hot reload). */
export function registerHandler(engine: Engine, prefix: string, handler: QueueHandler): void {
  const { registrations, opened } = table();
  const earlier = registrations.findIndex((r) => r.engine === engine && r.prefix === prefix);
  if (earlier >= 0) registrations.splice(earlier, 1);
  registrations.push({ prefix, engine, handler });
  if (opened.size === 0) return;
  const key = engine.key();
  for (const [other, native] of opened) if (other.key() === key) native.handlerRegistered(prefix);
}

/** The prefixes that some World with this engine has a handler for. */
function knownPrefixes(key: string): Set<string> {
  const { registrations } = table();
  return new Set(registrations.filter((r) => r.engine.key() === key).map((r) => r.prefix));
}

/** Makes an opened World known to the table, and the table's prefixes to it; answers how to leave. */
export function joinTable(engine: Engine, native: NativeWorld): () => void {
  const { opened } = table();
  opened.set(engine, native);
  for (const prefix of knownPrefixes(engine.key())) native.handlerRegistered(prefix);
  return () => opened.delete(engine);
}

/**
 * An opened World with this engine, this one or another. Verifying through it spares the SDK's
 * second World object an opening of its own, which nobody would ever close.
 */
export function openedWorld(engine: Engine): NativeWorld | undefined {
  const { opened } = table();
  const own = opened.get(engine);
  if (own || opened.size === 0) return own;
  const key = engine.key();
  for (const [other, native] of opened) if (other.key() === key) return native;
  return undefined;
}

/** The newest handler for a queue name among the Worlds with this engine. */
function handlerFor(engine: Engine, queueName: string): QueueHandler | undefined {
  const key = engine.key();
  return table().registrations.findLast(
    (r) => queueName.startsWith(r.prefix) && r.engine.key() === key,
  )?.handler;
}

/**
 * One direct delivery: runs the handler and tells the addon how it went, exactly once.
 * Never throws, because it is called from native code.
 */
export function deliver(
  engine: Engine,
  native: NativeWorld,
  delivery: string,
  body: Uint8Array,
): void {
  const { deliveryId, queueName, messageId, attempt } = JSON.parse(delivery) as NativeDelivery;
  const run = async (): Promise<string> => {
    const handler = handlerFor(engine, queueName);
    if (!handler) throw new Error(`No handler is registered for the queue "${queueName}".`);
    const message = decodeJson(new TextDecoder().decode(body));
    const result = await handler(message, { attempt, queueName, messageId });
    const seconds = timeoutOf(result);
    return JSON.stringify(seconds === undefined ? { done: true } : { timeoutSeconds: seconds });
  };
  run()
    .catch((error) => JSON.stringify({ error: String(error) }))
    .then((outcome) => native.settleDelivery(deliveryId, outcome))
    // A World that closed meanwhile has released the message; there is nobody left to tell.
    .catch(() => undefined);
}

/** The seconds after which a handler wants its message again; `undefined` when it is done with it. */
export function timeoutOf(result: unknown): number | undefined {
  const seconds = (result as { timeoutSeconds?: unknown } | null | undefined)?.timeoutSeconds;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) return undefined;
  return Math.max(0, seconds);
}
