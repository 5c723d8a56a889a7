/** The time of a test: the host's, moved by an offset. */
import ms from 'ms';
import { invalid } from '../native/errors';

const SHIFT = Symbol.for('hookline//date-shift');

interface Shift {
  /** The `Date` that was here before. */
  original: DateConstructor;
  shifted: DateConstructor;
  offsetMs: number;
}

const globals = globalThis as { Date: DateConstructor; [SHIFT]?: Shift };

/** The real time, as `Date` had it before {@link shiftDate}. */
export function realNow(): number {
  return (globals[SHIFT]?.original ?? Date).now();
}

/**
 * Moves `Date` by an offset from the real time; 0 restores the original. Time still passes, and
 * timers do not change.
 */
export function shiftDate(offsetMs: number): void {
  const shift = globals[SHIFT];
  if (shift) {
    shift.offsetMs = offsetMs;
    if (offsetMs !== 0) return;
    // Other code may have replaced Date meanwhile; then its Date must stay.
    if (globals.Date === shift.shifted) globals.Date = shift.original;
    delete globals[SHIFT];
    return;
  }
  if (offsetMs === 0) return;
  const original = globals.Date;
  const state: Shift = { original, shifted: original, offsetMs };
  const now = () => original.now() + state.offsetMs;
  state.shifted = new Proxy(original, {
    get: (target, key) => (key === 'now' ? now : Reflect.get(target, key)),
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
    apply: () => new original(now()).toString(),
  });
  globals[SHIFT] = state;
  globals.Date = state.shifted;
}

/**
 * A duration in milliseconds: a number of them, or a string such as `'2h'` as `sleep()` takes it.
 */
export function durationMs(duration: number | string): number {
  // `ms` throws its own error for a value that is not a string, and for an empty string.
  const isText = typeof duration === 'string' && duration !== '';
  const parsed = isText ? ms(duration) : duration;
  if (typeof parsed !== 'number' || !Number.isFinite(parsed) || parsed < 0) {
    throw invalid(
      "A duration is a number of milliseconds, or a string such as '30s', '2h' or '1d'.",
    );
  }
  return parsed;
}
