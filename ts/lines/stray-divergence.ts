/**
 * Keeps a process alive that replays a run whose workflow it does not have.
 *
 * The SDK (4.8.9 and 5.0.0-beta.55) starts to read the log before it looks the workflow up. When it
 * does not find the workflow, it leaves a promise behind that rejects a moment later and that nothing handles, and
 * Node ends the process. So that rejection is caught, and no other one.
 */

/** The SDK waits for about 100 ms; a busy process is later. */
const EXPECTED_WITHIN_MS = 10_000;

const STATE = Symbol.for('hookline//stray-divergence');

/** Node is told by an option not to end for such a rejection. */
const ONLY_WARNS = /--unhandled-rejections=(?:none|warn)(?![\w-])/;

interface Listening {
  timer: NodeJS.Timeout;
}

/** Expects the rejection, from now on for a moment. */
export function expectStrayDivergence(): void {
  // A bundler may evaluate this module several times.
  const globals = globalThis as { [STATE]?: Listening };
  if (globals[STATE]) {
    globals[STATE].timer.refresh();
    return;
  }
  process.on('unhandledRejection', catchDivergence);
  const stop = () => {
    process.off('unhandledRejection', catchDivergence);
    delete globals[STATE];
  };
  globals[STATE] = { timer: setTimeout(stop, EXPECTED_WITHIN_MS).unref() };
}

function catchDivergence(reason: unknown): void {
  if ((reason as Error | null | undefined)?.name === 'ReplayDivergenceError') return;
  const isAlone = process.listenerCount('unhandledRejection') === 1;
  const options = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  // Without a listener Node would have ended the process.
  if (isAlone && !ONLY_WARNS.test(options)) throw reason;
}
