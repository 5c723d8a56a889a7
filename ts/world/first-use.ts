/**
 * A process finds the SDK's routes in its own server. Then delivery begins by itself at the first use of
 * the World, and a World that delivers only within the process gets the handlers of routes that nobody
 * has asked yet.
 *
 * Only the process itself can tell whether it serves them: handlers are also registered in a script
 * that starts a run, and the routes of many frameworks are loaded at their first request. So the
 * process asks its own server, and begins when the code of a route has been asked in this very
 * process. A script, a test, a build and the command line have no such server.
 */
import { setTimeout } from 'node:timers';
import { appAddress } from '../engine/app-address';
import type { Engine } from '../engine/engine';
import { handlerFor } from '../engine/handlers';
import { inNobodysContext } from '../engine/nobody';
import { sayOnce } from '../engine/say-once';
import { answerOf, type NativeWorld } from '../native/binding';
import { isBuilding } from '../setup/building';
import { presentLine } from '../setup/installed-sdk';

const SERVES = Symbol.for('hookline//serves-routes');
const WAITING = Symbol.for('hookline//waiting-for-routes');
type Globals = { [SERVES]?: boolean; [WAITING]?: Set<() => void> };

/** A World that waits for a route. A World that is dropped without `close()` must still release its database. */
interface Waiting {
  engine: WeakRef<Engine>;
  native: WeakRef<NativeWorld>;
}

/** The first pause lets a start line go first. */
const PAUSE_MS = 100;
/** A development server compiles a route when it is asked for it. */
const PAUSE_MAX_MS = 2000;
/** The same while no server of this process listens: a script that runs for long never has one. */
const PAUSE_WITHOUT_SERVER_MAX_MS = 60_000;
/** How often a server that answers is asked. */
const QUESTIONS_MAX = 15;

/** Notes that a route of the SDK is served by this process, and starts the Worlds that wait for it. */
export function noteServed(): void {
  const globals = globalThis as Globals;
  if (globals[SERVES]) return;
  globals[SERVES] = true;
  for (const begin of globals[WAITING] ?? []) begin();
  delete globals[WAITING];
}

/** Waits until this process serves the SDK's routes, and starts the World unless it is started. */
export function beginAtFirstUse(engine: Engine, native: NativeWorld): void {
  const { role } = engine.config();
  if (role === 'producer' || role === 'reader' || isBuilding()) return;
  const waiting = { engine: new WeakRef(engine), native: new WeakRef(native) };
  inNobodysContext(() => {
    const globals = globalThis as Globals;
    if (globals[SERVES]) return begin(waiting);
    globals[WAITING] ??= new Set();
    globals[WAITING].add(() => inNobodysContext(() => begin(waiting)));
    askOwnServer(waiting, (engine) => !engine.isStarted()).catch(warnOf);
  });
}

/**
 * Asks for the routes whose handlers a World lacks that was started and only calls handlers of its
 * process: SDK 5.x, and many bundlers, register a handler at the first request to its route.
 */
export function loadRoutes(engine: Engine, native: NativeWorld): void {
  const { delivery, role, queueNamespace, forTests } = engine.config();
  // A test has no routes, and may have ended by the time of the first question.
  if (forTests !== undefined) return;
  if (delivery !== 'direct' || role === 'producer' || role === 'reader') return;
  const lacksHandler = () =>
    presentLine()
      .delivery.prefixes(queueNamespace)
      .some((prefix) => !handlerFor(engine, prefix));
  const waiting = { engine: new WeakRef(engine), native: new WeakRef(native) };
  inNobodysContext(() => askOwnServer(waiting, lacksHandler).catch(warnOf));
}

function begin(waiting: Waiting): void {
  const engine = waiting.engine.deref();
  if (engine?.isStarted()) return;
  const said = () => void sayOnce('HOOKLINE_NO_START_LINE', NO_START_LINE);
  engine?.start().then(said, warnOf);
}

function warnOf(error: unknown): void {
  const { code, message } = error as { code?: string; message?: string };
  // A World that was closed meanwhile has nothing to begin.
  if (code === 'CLOSED') return;
  sayOnce(`HOOKLINE_${code}`, `hookline cannot begin to deliver: ${message}`);
}

/**
 * Asks the app's own server until a route is served, while the World needs it. Many servers load a
 * route when it is asked for.
 */
async function askOwnServer(waiting: Waiting, needs: (engine: Engine) => boolean): Promise<void> {
  let pauseMs = PAUSE_MS;
  for (let questions = 0; questions < QUESTIONS_MAX; ) {
    await unheldPause(pauseMs);
    const engine = waiting.engine.deref();
    const native = waiting.native.deref();
    if (!engine || !native || (globalThis as Globals)[SERVES] || !needs(engine)) return;
    const answer = await native.askOwnServer(appAddress(engine.config()));
    const { asked } = answerOf<{ asked: boolean }>(answer).json;
    if (asked) questions += 1;
    pauseMs = Math.min(2 * pauseMs, asked ? PAUSE_MAX_MS : PAUSE_WITHOUT_SERVER_MAX_MS);
  }
}

const NO_START_LINE =
  'hookline has begun to deliver at the first use of its World, because nothing had started it. After ' +
  'a restart, sleeping and interrupted runs wait for that again. Start delivery when the server ' +
  'starts: startDelivery() of hookline, in Next.js register() of hookline/next, in Nitro the module ' +
  'hookline/nitro.';

/** A pause that keeps no process alive. */
function unheldPause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}
