/** The World object: storage, queue and streams over one engine. */
import type { World, WorldOptions } from '../../index';
import { engineKey, ownRelease, readConfig } from '../engine/config';
import { createEngine } from '../engine/create-engine';
import type { Engine } from '../engine/engine';
import { type Given, readOptions } from '../engine/options';
import type { Streams, WorldParts } from '../lines/line';
import { LINES } from '../lines/table';
import { presentLine } from '../setup/installed-sdk';
import {
  isGivenAnother,
  isOurs,
  needsHookline,
  OURS,
  otherTarget,
  otherWorld,
  refuseUnsupportedSdk,
  sdkWorlds,
  setSdkWorld,
  worldOfTarget,
} from '../setup/target-world';
import { abilities } from './abilities';
import { deliver } from './direct-delivery';
import { beginAtFirstUse, loadRoutes } from './first-use';
import { createInspection } from './inspection';
import { createKeys } from './keys';
import { createQueue } from './queue';
import { isReleaseGone, latestRelease } from './releases';
import { registerRoute } from './route-handler';
import { createStorage } from './storage';
import { createStreams } from './streams';
import { createUpkeep } from './upkeep';
import { warnOfFault } from './vigil';

// A symbol of the global registry, because a bundler may evaluate this module more than once per
// process.
const DEFAULT = Symbol.for('hookline//default-world');

/** A World of this package; enumerable, so that a spread copy of it is still one. */
type HooklineWorld = World & { [OURS]: Engine };

/**
 * Makes a World on the database that the options or the environment name.
 *
 * It is synchronous, does no I/O and never throws, because `next build` makes Worlds too. With a
 * bad option or an unreachable database, the first operation rejects.
 */
export function createWorld(options?: WorldOptions): World {
  const given = readOptions(options);
  const engine = createEngine(given, {
    deliver,
    warn: warnOfFault,
    opened(native) {
      if (isOfProcess(world, given)) beginAtFirstUse(engine, native);
    },
    started: loadRoutes,
  });
  const world = withLines(partsOf(engine), {
    // The SDK takes these as signs that messages go to the release of their run.
    get resolveLatestDeploymentId() {
      return ownRelease() === undefined ? undefined : () => latestRelease(engine);
    },
    get isDeploymentUnavailableError() {
      return ownRelease() === undefined ? undefined : isReleaseGone;
    },
    // SDK 5.x reads this first, and its own error would only say that the number is wrong.
    get specVersion() {
      refuseUnsupportedSdk();
      return presentLine().specVersion;
    },
    // A write here costs one commit and no round trip, so gathering chunks by time only adds delay.
    streamFlushIntervalMs: given.options.streamFlushIntervalMs ?? 0,
    ...createStorage(engine),
    ...createQueue(engine),
    ...createKeys(engine),
    ...createUpkeep(engine),
    ...createInspection(engine),
    start: engine.start,
    close: engine.close,
    [OURS]: engine,
  });
  return world;
}

function partsOf(engine: Engine): WorldParts {
  return {
    streams: createStreams(engine),
    abilities: () => abilities(),
    registerRoute: (prefix, route) => registerRoute(engine, prefix, route),
  };
}

/** The same World, with other streams behind its methods. */
export function withStreams(world: World, engine: Engine, streams: Streams): World {
  return withLines({ ...partsOf(engine), streams }, { ...world });
}

/**
 * Adds what the SDK of each line calls: their names differ, so one World serves them all. An SDK may
 * replace members of its World, so they are members of the object itself.
 */
function withLines(parts: WorldParts, world: object): HooklineWorld {
  for (const line of LINES) {
    Object.defineProperties(world, Object.getOwnPropertyDescriptors(line.worldParts(parts)));
  }
  return world as HooklineWorld;
}

/**
 * Whether a World is the one of this process, which the SDK or {@link currentWorld} has made: a World
 * that a program makes for itself is started by that program.
 */
function isOfProcess(world: World, { options }: Given): boolean {
  const globals = globalThis as Globals;
  const isMadeBySdk = sdkWorlds().world === world || globals[DEFAULT]?.world === world;
  return isMadeBySdk && Object.keys(options).length === 0;
}

/** The engine behind a World, or `undefined` when the World is not of this package. */
export function engineOf(world: unknown): Engine | undefined {
  return (world as Partial<HooklineWorld> | null | undefined)?.[OURS];
}

interface Globals {
  /** `world` is `undefined` when the target's World is not one of ours. */
  [DEFAULT]?: { key: string; world: World | undefined };
}

/**
 * The World of this process: the SDK's own or, if the SDK has none yet, a World made as the SDK
 * would make it. The second case is a route that runs before the SDK's routes, or a producer that
 * never loads the SDK. `undefined` when the process was given another World on purpose.
 *
 * @throws WorkflowWorldError with code `NOT_CONFIGURED` when the SDK's World is not, or would not
 *   be, one of ours, and nobody has asked for that.
 */
export function processWorld(): World | undefined {
  const sdk = sdkWorlds();
  if (isOurs(sdk.world)) return sdk.world;
  if (sdk.world || (sdk.handlersWorld && !isOurs(sdk.handlersWorld))) return anotherWorld();
  const target = otherTarget();
  const globals = globalThis as Globals;
  const key = [environmentKey(), target].join('\n');
  if (globals[DEFAULT]?.key !== key) {
    const made = (target ? worldOfTarget(target) : createWorld()) as World | undefined;
    if (made && !isOurs(made)) setSdkWorld(made);
    globals[DEFAULT] = { key, world: isOurs(made) ? made : undefined };
  }
  return globals[DEFAULT].world ?? anotherWorld();
}

/** The answer of {@link processWorld} when the World is not one of ours. */
function anotherWorld(): undefined {
  if (!isGivenAnother()) throw otherWorld();
}

/**
 * As {@link processWorld}, for what only this package has.
 *
 * @param what - What needs the World, for the error.
 * @throws WorkflowWorldError with code `NOT_CONFIGURED` also when the process was given another
 *   World on purpose.
 */
export function currentWorld(what = 'This function'): World {
  const world = processWorld();
  if (!world) throw needsHookline(what);
  return world;
}

/**
 * The World of this process, put where the SDK looks for it; `undefined` when
 * `WORKFLOW_TARGET_WORLD` names a World that is not one of ours.
 *
 * It does not call the SDK's `getWorld()`: a bundle of the app may hold another copy of the SDK.
 *
 * @throws WorkflowWorldError with code `NOT_CONFIGURED` when the SDK has chosen another World
 *   although that variable does not name it.
 */
export function installedWorld(): World | undefined {
  const target = otherTarget();
  const known = sdkWorlds().world;
  if (target && !isOurs(known) && !engineOf(worldOfTarget(target))) return undefined;
  const world = currentWorld();
  if (!known) setSdkWorld(world);
  // The SDK makes a second World, for its handlers.
  process.env.WORKFLOW_TARGET_WORLD ||= 'hookline';
  return world;
}

/** The engine of {@link currentWorld}. */
export function currentEngine(what?: string): Engine {
  return engineOf(currentWorld(what)) as Engine;
}

// A test may set another database in the environment; then the default World is made again.
function environmentKey(): string {
  return engineKey(readConfig({}));
}
