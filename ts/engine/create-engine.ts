/**
 * One World object's hold on the addon: opened at the first use, closed once.
 *
 * If two World objects of one process name one database, the addon shares its engine between them.
 * So this file counts no users, and keeps no state that both objects need; `handlers.ts` keeps
 * that.
 */
import { loadBinding, type NativeWorld, settled } from '../native/binding';
import { toError } from '../native/errors';
import { presentLine } from '../setup/installed-sdk';
import { refuseUnsupportedSdk } from '../setup/target-world';
import { appAddress } from './app-address';
import { engineKey, type NativeConfig, readConfig } from './config';
import { emptyDatabase } from './empty-database';
import type { Engine } from './engine';
import {
  forgetEngine,
  isStarted,
  joinTable,
  noteStarted,
  noteUnstarted,
  type Opened,
} from './handlers';
import { inNobodysContext } from './nobody';
import type { Given } from './options';
import { placeOf, sayAbsent, warnOfPlace } from './place';
import { type NativeWorker, warnOfSession } from './session';
import { drainOnSignals, ignoreSignals } from './signals';
import { pause } from './timer';
import { warnOfVariables } from './variables';

/**
 * The time between two looks for an awaited database: no event reports that a missing file appears.
 */
const APPEARANCE_MS = 100;

// The status is the same as that of the addon's own `CLOSED`. Without a status the runtime takes
// the error as final, but another process must retry the work of a closing one.
function closed(): Error {
  return toError({
    code: 'CLOSED',
    message: 'This World is closed: make another one.',
    details: { status: 503 },
  });
}

/** The key of Worlds with bad options. It equals no path, and such Worlds never open. */
const UNUSABLE = '\0unusable';

/**
 * The error for the options of a World. Its status makes the runtime retry, because the options may
 * be right by then.
 */
function badConfig(message: string): Error {
  return toError({ code: 'BAD_CONFIG', message, details: { status: 500 } });
}

// The addon's own error for a reader's write; without a database there is no addon to report it.
function readsOnly(): Error {
  const message =
    'There is no database, and this World only reads (WORKFLOW_HOOKLINE_ROLE is reader): write through a World with another role.';
  return toError({ code: 'READ_ONLY', message, details: { status: 400 } });
}

/** Runs one direct delivery, and reports its outcome to the addon; it must not throw. */
export type Deliver = (
  engine: Engine,
  native: NativeWorld,
  delivery: string,
  body: Uint8Array,
) => void;

/** The work that an engine leaves to its World. */
export interface Tasks {
  /** Handles a direct delivery. */
  deliver: Deliver;
  /** Warns of the first fault of a kind of this process's worker, given as JSON. */
  warn(engine: Engine, fault: string): void;
  /** Is called when the database is open. */
  opened(native: NativeWorld): void;
  /** Is called when the World has begun to deliver. */
  started(engine: Engine, native: NativeWorld): void;
}

/**
 * Makes the engine of a World; does no I/O and never throws.
 */
export function createEngine({ options, fault }: Given, tasks: Tasks): Engine {
  const { deliver, warn, opened, started } = tasks;
  let config: NativeConfig | undefined;
  let opening: Promise<NativeWorld> | undefined;
  let place: Opened | undefined;
  const empty = emptyDatabase(() => engine.config());
  let asked: NativeWorld | undefined;
  let closing: Promise<void> | undefined;
  let isClosed = false;

  async function lookUnopened(): Promise<NativeWorld> {
    if (!engine.isAbsent()) return engine.connect();
    sayAbsent(engine.place());
    return empty.open();
  }

  const engine: Engine = {
    config() {
      if (fault) throw badConfig(fault);
      config ??= readConfig(options);
      return config;
    },
    // Worlds with bad options share no engine.
    key: () => (fault ? UNUSABLE : engineKey(engine.config())),
    async connect() {
      // While the World closes, its deliveries in flight may still use it.
      if (isClosed || (closing && !opening)) throw closed();
      if (engine.config().role === 'reader' && engine.isAbsent()) throw readsOnly();
      // The handles that Node creates while opening live as long as the process.
      opening ??= inNobodysContext(open);
      const attempt = opening;
      try {
        const native = await attempt;
        // The World was abandoned meanwhile: an operation that begins now would never settle.
        if (isClosed) throw closed();
        return native;
      } catch (error) {
        // The next operation tries again: the path may have become usable by then.
        if (opening === attempt) opening = undefined;
        throw error;
      }
    },
    isAbsent: () => !opening && !closing && !isClosed && unopened().isAbsent(),
    place: () => placeOf(unopened()),
    // No function of its own awaits where the database is open: every look-up pays for this one.
    look: () => (opening ? engine.connect() : lookUnopened()),
    async appearance(signal) {
      while (engine.isAbsent()) {
        if (signal?.aborted) return undefined;
        await pause(APPEARANCE_MS, signal);
      }
      return engine.connect();
    },
    async start() {
      noteStarted(engine);
      try {
        await startWorker();
      } catch (error) {
        noteUnstarted(engine);
        throw error;
      }
    },
    isStarted: () => isStarted(engine),
    close() {
      closing ??= shut();
      return closing;
    },
    abandon() {
      if (closing) return;
      closing = Promise.resolve();
      isClosed = true;
      forgetEngine(engine);
      // The World may still be opening.
      const leaveNow = () => {
        void place?.native.close();
        place?.leave();
      };
      empty.close();
      if (place) leaveNow();
      else void opening?.then(leaveNow, () => undefined);
    },
  };

  async function startWorker(): Promise<void> {
    // A reader delivers nothing, so the database need not exist yet.
    const native = await (engine.config().role === 'reader' ? engine.look() : engine.connect());
    const starting = inNobodysContext(() =>
      native.startWorker(
        deliverTo(native),
        (first) => warn(engine, first),
        appAddress(engine.config()),
      ),
    );
    // Do this before `starting` settles, because messages of the first claim may be in delivery
    // by then.
    if (!closing) inNobodysContext(() => drainOnSignals(drain));
    try {
      const { json } = await settled<NativeWorker | undefined>(starting);
      warnOfSession(json);
    } catch (error) {
      ignoreSignals(drain);
      throw error;
    }
    started(engine, native);
  }

  /**
   * Each delivery gets a context of its own: a store that one sets (`enterWith`) does not reach the
   * next.
   */
  function deliverTo(native: NativeWorld) {
    return (delivery: string, body: Uint8Array) =>
      inNobodysContext(() => deliver(engine, native, delivery, body));
  }

  async function open(): Promise<NativeWorld> {
    // A reader may read the database with any version of the SDK.
    if (engine.config().role !== 'reader') refuseUnsupportedSdk();
    const { NativeWorld: World } = loadBinding();
    // The worker takes only runs that the SDK of this process can continue.
    const { specVersions } = presentLine();
    const native = new World(JSON.stringify({ ...engine.config(), specVersions }));
    await settled(native.open());
    place = joinTable(engine, native);
    warnOfPlace(engine.place());
    warnOfVariables();
    empty.forget();
    opened(native);
    return native;
  }

  /** An addon object for the questions that need no opened database. */
  function unopened(): NativeWorld {
    const { NativeWorld: World } = loadBinding();
    asked ??= new World(JSON.stringify(engine.config()));
    return asked;
  }

  async function drain(): Promise<void> {
    const native = await opening;
    if (native) await settled(native.drain());
  }

  async function shut(): Promise<void> {
    const native = await opening?.catch(() => undefined);
    empty.close();
    try {
      if (native) await settled(native.close());
    } finally {
      ignoreSignals(drain);
      isClosed = true;
      place?.leave();
      forgetEngine(engine);
    }
  }

  return engine;
}
