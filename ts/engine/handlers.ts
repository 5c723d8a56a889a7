/**
 * The table of the handlers of this process: which handler takes which messages.
 *
 * The SDK registers its handlers on one World object and starts another, and a bundler may evaluate
 * this module several times, so the table is on `globalThis`. Entries are compared by the engine's
 * key only when a message arrives, because at registration the environment may not be complete yet.
 */

import type { NativeWorld } from '../native/binding';
import type { Engine } from './engine';

/** The handler that the SDK passes to `createQueueHandler`. */
export type QueueHandler = (
  message: unknown,
  meta: { attempt: number; queueName: string; messageId: string },
  // biome-ignore lint/suspicious/noConfusingVoidType: the SDK's own type says void
) => Promise<void | { timeoutSeconds: number }>;

/** A handler, and the messages that it takes. */
export interface Registration {
  prefix: string;
  engine: Engine;
  handler: QueueHandler;
  /** When the handler was registered: when this process loaded the code that it runs. */
  loadedAtMs: number;
}

/** An opened World's entry in the table. Its engine holds the entry; the table holds it weakly. */
export interface Opened {
  engine: Engine;
  native: NativeWorld;
  leave(): void;
}

interface Table {
  registrations: Registration[];
  /**
   * Opened Worlds: they learn of later handlers, and can verify deliveries. The table holds them
   * weakly, so that a World that is dropped without `close()` still releases its database.
   */
  opened: Set<WeakRef<Opened>>;
  /** Worlds that deliver. */
  started: Set<Engine>;
}

const TABLE = Symbol.for('hookline//handlers');

function table(): Table {
  const globals = globalThis as { [TABLE]?: Table };
  // Sealed, as in signals.ts.
  globals[TABLE] ??= Object.seal({ registrations: [], opened: new Set(), started: new Set() });
  return globals[TABLE];
}

/** The opened Worlds with this engine that have not been garbage-collected. */
function openedWith(key: string): Opened[] {
  const { opened } = table();
  const alive = [];
  for (const reference of opened) {
    const world = reference.deref();
    if (!world) opened.delete(reference);
    else if (world.engine.key() === key) alive.push(world);
  }
  return alive;
}

/**
 * Adds a handler. It replaces an earlier handler of the same World for the same prefix (hot
 * reload).
 */
export function registerHandler(
  engine: Engine,
  prefix: string,
  handler: QueueHandler,
): Registration {
  const { registrations, opened } = table();
  const earlier = registrations.findIndex((r) => r.engine === engine && r.prefix === prefix);
  if (earlier >= 0) registrations.splice(earlier, 1);
  const registration = { prefix, engine, handler, loadedAtMs: Date.now() };
  registrations.push(registration);
  if (opened.size > 0) {
    for (const { native } of openedWith(engine.key())) native.handlerRegistered(prefix);
  }
  return registration;
}

/** Notes that a World is started. */
export function noteStarted(engine: Engine): void {
  table().started.add(engine);
}

/** Notes that a World could not be started. */
export function noteUnstarted(engine: Engine): void {
  table().started.delete(engine);
}

/** Whether some World with this engine is started. */
export function isStarted(engine: Engine): boolean {
  const key = engine.key();
  return [...table().started].some((other) => other.key() === key);
}

/** Removes what the table has of a closed World. */
export function forgetEngine(engine: Engine): void {
  const globals = table();
  globals.registrations = globals.registrations.filter((r) => r.engine !== engine);
  globals.started.delete(engine);
}

/** The prefixes that some World with this engine has a handler for. */
function knownPrefixes(key: string): Set<string> {
  const { registrations } = table();
  return new Set(registrations.filter((r) => r.engine.key() === key).map((r) => r.prefix));
}

/** Every handler of this process, of any World, the newest last. */
export function allHandlers(): { prefix: string; handler: QueueHandler }[] {
  return table().registrations.map(({ prefix, handler }) => ({ prefix, handler }));
}

/** Makes an opened World known to the table, and the table's prefixes to it. */
export function joinTable(engine: Engine, native: NativeWorld): Opened {
  const { opened } = table();
  const world = { engine, native, leave: () => void opened.delete(reference) };
  const reference = new WeakRef<Opened>(world);
  opened.add(reference);
  for (const prefix of knownPrefixes(engine.key())) native.handlerRegistered(prefix);
  return world;
}

/**
 * An opened World with this engine, this one or another. The SDK's second World object verifies
 * deliveries through it, so that it need not open the database itself, which nobody would ever
 * close. A reader cannot verify deliveries.
 */
export function openedWorld(engine: Engine): NativeWorld | undefined {
  if (table().opened.size === 0) return undefined;
  const alive = openedWith(engine.key()).filter((it) => it.engine.config().role !== 'reader');
  return (alive.find((world) => world.engine === engine) ?? alive[0])?.native;
}

/** The newest handler for a queue name among the Worlds with this engine. */
export function handlerFor(engine: Engine, queueName: string): Registration | undefined {
  const key = engine.key();
  return table().registrations.findLast(
    (r) => queueName.startsWith(r.prefix) && r.engine.key() === key,
  );
}
