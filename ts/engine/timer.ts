/**
 * A timer for any duration: JavaScript's own timer fires at once when it is set to more than 24
 * days.
 */

const PART_MAX_MS = 2 ** 31 - 1;

/** Runs `due` after `ms` milliseconds, unless the returned function is called before. */
export function after(ms: number, due: () => void): () => void {
  let timer: NodeJS.Timeout;
  const wait = (left: number) => {
    const part = Math.min(left, PART_MAX_MS);
    timer = setTimeout(() => (left > part ? wait(left - part) : due()), part);
  };
  wait(ms);
  return () => clearTimeout(timer);
}

/** Resolves after `ms` milliseconds, or as soon as the signal is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      cancel();
      signal?.removeEventListener('abort', over);
      resolve();
    };
    const cancel = after(ms, over);
    signal?.addEventListener('abort', over, { once: true });
  });
}
