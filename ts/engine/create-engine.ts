/**
 * One World object's hold on the addon: opened at the first use, closed once.
 *
 * Two World objects of one process may name one database; the addon then shares its engine. So this
 * file counts nothing, and keeps no state that both would need (see `handlers.ts` for that).
 */
import { randomUUID } from 'node:crypto';
import { loadBinding, type NativeWorld, settled } from '../native/binding';
import { toError } from '../native/errors';
import { refuseUnsupportedSdk } from '../setup/target-world';
import { appUrl, engineKey, type NativeConfig, readConfig } from './config';
import type { Engine } from './engine';
import { forgetHandlers, joinTable, type Opened } from './handlers';
import { inNobodysContext } from './nobody';
import type { Given } from './options';
import { placeOf, sayAbsent, warnOfPlace } from './place';
import { drainOnSignals, ignoreSignals } from './signals';
import { pause } from './timer';
import { warnOfFault } from './worker-faults';

/** Between looks for a database that somebody waits for: nothing tells of a file that is not there. */
const APPEARANCE_MS = 100;

// The status is that of the addon's own `CLOSED`: to the runtime an error without one is final, and
// what a closing process leaves undone must be tried again by another.
function closed(): Error {
  return toError({ code: 'CLOSED', message: 'This World is closed.', details: { status: 503 } });
}

/** The key of Worlds with bad options: no path, and none of theirs is ever opened. */
const UNUSABLE = '\0unusable';

/** What is wrong with the options of a World. The runtime tries again: it may be mended by then. */
function badConfig(message: string): Error {
  return toError({ code: 'BAD_CONFIG', message, details: { status: 500 } });
}

// What the addon says of a reader's write, which a database that is not there has nobody to say.
function readsOnly(): Error {
  const message =
    'There is no database, and this World only reads (WORKFLOW_HOOKLINE_ROLE is reader): write through a World with another role.';
  return toError({ code: 'READ_ONLY', message, details: { status: 400 } });
}

/** Takes one direct delivery, and tells the addon its outcome; it must not throw. */
export type Deliver = (
  engine: Engine,
  native: NativeWorld,
  delivery: string,
  body: Uint8Array,
) => void;

/** The engine of a World, which gives each direct delivery to `deliver`; does no I/O and never throws. */
export function createEngine({ options, fault }: Given, deliver: Deliver): Engine {
  let config: NativeConfig | undefined;
  let opening: Promise<NativeWorld> | undefined;
  let place: Opened | undefined;
  /** Stands for a database that is not there. */
  let nothing: Promise<NativeWorld> | undefined;
  let asked: NativeWorld | undefined;
  let closing: Promise<void> | undefined;
  let isClosed = false;

  const engine: Engine = {
    config() {
      if (fault) throw badConfig(fault);
      config ??= readConfig(options);
      return config;
    },
    // Those with bad options have no engine to share.
    key: () => (fault ? UNUSABLE : engineKey(engine.config())),
    async connect() {
      // While it closes, what is being delivered may still use it.
      if (isClosed || (closing && !opening)) throw closed();
      if (engine.config().role === 'reader' && engine.isAbsent()) throw readsOnly();
      // What Node creates while it opens lives as long as the process.
      opening ??= inNobodysContext(open);
      const attempt = opening;
      try {
        const native = await attempt;
        // It was abandoned meanwhile: what is begun now would be waited for in vain.
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
    async look() {
      if (!engine.isAbsent()) return engine.connect();
      sayAbsent(engine.place());
      nothing ??= inNobodysContext(openNothing);
      const attempt = nothing;
      try {
        return await attempt;
      } catch (error) {
        if (nothing === attempt) nothing = undefined;
        throw error;
      }
    },
    async appearance(signal) {
      while (engine.isAbsent()) {
        if (signal?.aborted) return undefined;
        await pause(APPEARANCE_MS, signal);
      }
      return engine.connect();
    },
    async start() {
      // A reader begins nothing: it need not be there yet.
      const native = await (engine.config().role === 'reader' ? engine.look() : engine.connect());
      const starting = inNobodysContext(() =>
        native.startWorker(deliverTo(native), warnOfFault, appUrl()),
      );
      // Before it settles: its first claim may be delivered by then.
      if (!closing) inNobodysContext(() => drainOnSignals(drain));
      try {
        await settled(starting);
      } catch (error) {
        ignoreSignals(drain);
        throw error;
      }
    },
    close() {
      closing ??= shut();
      return closing;
    },
    abandon() {
      if (closing) return;
      closing = Promise.resolve();
      isClosed = true;
      forgetHandlers(engine);
      // It may still be opening.
      const leaveNow = () => {
        void place?.native.close();
        place?.leave();
      };
      void nothing?.then((empty) => empty.close()).catch(() => undefined);
      if (place) leaveNow();
      else void opening?.then(leaveNow, () => undefined);
    },
  };

  /** Each delivery by itself: what one leaves in its context (`enterWith`) is not there for the next. */
  function deliverTo(native: NativeWorld) {
    return (delivery: string, body: Uint8Array) =>
      inNobodysContext(() => deliver(engine, native, delivery, body));
  }

  async function open(): Promise<NativeWorld> {
    // A reader may look at what is there with whatever the app has.
    if (engine.config().role !== 'reader') refuseUnsupportedSdk();
    const { NativeWorld: World } = loadBinding();
    const native = new World(JSON.stringify(engine.config()));
    await settled(native.open());
    place = joinTable(engine, native);
    warnOfPlace(engine.place());
    // Whoever reads from it still holds it.
    nothing = undefined;
    return native;
  }

  /** Answers what can be asked without opening. */
  function unopened(): NativeWorld {
    const { NativeWorld: World } = loadBinding();
    asked ??= new World(JSON.stringify(engine.config()));
    return asked;
  }

  async function openNothing(): Promise<NativeWorld> {
    if (engine.config().role !== 'reader') refuseUnsupportedSdk();
    const { NativeWorld: World } = loadBinding();
    const config = { ...engine.config(), url: `:memory:nothing-${randomUUID()}`, role: 'producer' };
    const native = new World(JSON.stringify(config));
    await settled(native.open());
    return native;
  }

  async function drain(): Promise<void> {
    const native = await opening;
    if (native) await settled(native.drain());
  }

  async function shut(): Promise<void> {
    const native = await opening?.catch(() => undefined);
    void nothing?.then((empty) => empty.close()).catch(() => undefined);
    try {
      if (native) await settled(native.close());
    } finally {
      ignoreSignals(drain);
      isClosed = true;
      place?.leave();
      forgetHandlers(engine);
    }
  }

  return engine;
}
