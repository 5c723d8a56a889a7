/**
 * Ends deliveries at SIGTERM or SIGINT: those in flight are finished, or given back at once, so
 * that another process need not first notice the death of this one.
 *
 * This happens only if no other code of the process handles the signal. A host that handles it
 * (Next.js, most servers) knows better when to end, and may call `close()`. A host that has given the
 * World its route does not know it, because the World delivers: such a host ends after the deliveries.
 */

type Drain = () => Promise<void>;

interface Signals {
  /** The functions that end the deliveries of each started World. */
  started: Set<Drain>;
  listener: ((signal: NodeJS.Signals) => void) | undefined;
  /** Whether the host has given a World its route. */
  gaveRoute: boolean;
}

const SIGNALS: NodeJS.Signals[] = ['SIGTERM', 'SIGINT'];
// On `globalThis`, because a bundler may evaluate this module more than once per process.
const SHARED = Symbol.for('hookline//signals');

function shared(): Signals {
  const globals = globalThis as { [SHARED]?: Signals };
  // Sealed, because Jest takes away the properties of what a test file leaves on its global object,
  // and a World may still be closing then.
  globals[SHARED] ??= Object.seal({ started: new Set(), listener: undefined, gaveRoute: false });
  return globals[SHARED];
}

/** Ends a World's deliveries when a signal ends the process, until {@link ignoreSignals}. */
export function drainOnSignals(drain: Drain): void {
  const signals = shared();
  signals.started.add(drain);
  if (signals.listener) return;
  signals.listener = (signal) => void endBy(signal);
  // Registered first, so that it still counts other listeners that are removed after one call.
  for (const signal of SIGNALS) process.prependListener(signal, signals.listener);
}

/** Notes that the host has given a World its route. */
export function hostGaveRoute(): void {
  shared().gaveRoute = true;
}

/** A World has been closed, so nothing is left to do for it. */
export function ignoreSignals(drain: Drain): void {
  shared().started.delete(drain);
  if (shared().started.size === 0) stopListening();
}

function stopListening(): void {
  const signals = shared();
  if (!signals.listener) return;
  for (const signal of SIGNALS) process.removeListener(signal, signals.listener);
  signals.listener = undefined;
}

async function endBy(signal: NodeJS.Signals): Promise<void> {
  // Remove our listener first: then a second signal ends the process at once, and other code that
  // counts listeners does not find ours.
  const isHandledElsewhere = process.listenerCount(signal) > 1;
  stopListening();
  if (isHandledElsewhere && !shared().gaveRoute) return;
  // The World stays open meanwhile, so that other work of the app continues until the end.
  const drained = Promise.allSettled([...shared().started].map((drain) => drain()));
  if (isHandledElsewhere) return exitAfter(drained);
  await drained;
  process.kill(process.pid, signal);
}

/** Keeps the process until something is done: it ends then if an exit was asked for meanwhile. */
async function exitAfter(done: Promise<unknown>): Promise<void> {
  const { exit } = process;
  let asked: Parameters<typeof exit> | undefined;
  process.exit = ((...code: Parameters<typeof exit>) => {
    asked ??= code;
  }) as typeof exit;
  await done;
  process.exit = exit;
  if (asked) process.exit(...asked);
}
