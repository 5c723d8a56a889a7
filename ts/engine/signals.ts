/**
 * Ending by SIGTERM or SIGINT without losing time: deliveries in flight are finished, or given back
 * at once instead of when another process notices.
 *
 * Only where nobody else in the process handles the signal. A host that does (Next.js, most servers)
 * knows better when it is done, and calls `close()` or does not.
 */

type Drain = () => Promise<void>;

interface Signals {
  /** What ends the deliveries of each started World. */
  started: Set<Drain>;
  listener?: (signal: NodeJS.Signals) => void;
}

const SIGNALS: NodeJS.Signals[] = ['SIGTERM', 'SIGINT'];
// On `globalThis`, because a bundler may evaluate this module more than once per process.
const SHARED = Symbol.for('hookline//signals');

function shared(): Signals {
  const globals = globalThis as { [SHARED]?: Signals };
  globals[SHARED] ??= { started: new Set() };
  return globals[SHARED];
}

/** Ends a World's deliveries when a signal ends the process, until {@link ignoreSignals}. */
export function drainOnSignals(drain: Drain): void {
  const signals = shared();
  signals.started.add(drain);
  if (signals.listener) return;
  signals.listener = (signal) => void endBy(signal);
  // First in line, so that it sees everybody else's listeners before one that is called once goes.
  for (const signal of SIGNALS) process.prependListener(signal, signals.listener);
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
  // From here on it is as if we had never listened: a second signal ends the process at once, and
  // others that look whether they are alone find that they are.
  const isHandledElsewhere = process.listenerCount(signal) > 1;
  stopListening();
  if (isHandledElsewhere) return;
  // The World stays open meanwhile: whatever else the app is doing goes on until the very end.
  await Promise.allSettled([...shared().started].map((drain) => drain()));
  process.kill(process.pid, signal);
}
