/**
 * `resumeHook` and `getHookByToken`, as `workflow/api` documents them.
 *
 * A resume is two native calls: a read-only look-up, because dehydration must know the run, and
 * then one atomic operation that checks that the hook lives, appends `hook_received` and enqueues
 * the wake-up. Nothing is written before the payload has been serialized. A payload of plain data is the
 * same for most runs, so it goes with a look-up that is a round trip, and one native call does both.
 */
import type { Hook, PayloadKey, ResumeHookOptions, World } from '../../index';
import { tracesTokens } from '../engine/config';
import type { Engine } from '../engine/engine';
import type { Line } from '../lines/line';
import { stepAttempt } from '../lines/step-context';
import { lineOfSpec } from '../lines/table';
import { type Answer, type NativeWorld, pointRead, settled } from '../native/binding';
import { concise, HookNotFoundError } from '../native/errors';
import { type NativeRecord, toHook } from '../native/records';
import { encodePayload, type StepResume } from '../native/requests';
import { presentLine } from '../setup/installed-sdk';
import { runKey } from '../world/keys';
import { hookToResumeAgain, resumeOnce, sentByStep } from '../world/step-resumes';
import { expectDelivery } from '../world/vigil';
import { currentWorld, engineOf, processWorld } from '../world/world';
import { flushInBackground, outlivingTheRequest } from './background';
import { hookElsewhere, resumeElsewhere } from './elsewhere';
import { hookOfEarlierResume, type ResumeKey, resumeKey } from './idempotency';
import { type ResumedRun, type ResumeSpan, tracedResume } from './telemetry';

/**
 * Longest token that a hook can have, in UTF-16 units; the addon refuses to create a longer one.
 */
const TOKEN_LENGTH_MAX = 65_536;

/**
 * The World and engine of a call, found once: the World of the process may have changed when the
 * call ends, as in a test that does not await it.
 */
export interface Place {
  engine: Engine;
  native: NativeWorld;
}

/** A hook to resume. */
export interface Target {
  hook: Hook;
  /** The facts about the run that dehydration needs. */
  run: ResumedRun;
  /** Whether it has been resumed already. */
  isResumed?: boolean;
}

/**
 * Sends a payload to a hook and wakes its run; both are on disk when the promise resolves.
 *
 * @throws HookNotFoundError with the token, when no live hook has it.
 * @throws IdempotencyConflictError when the idempotency key was used for another payload.
 * @throws WorkflowRunNotFoundError when the hook's run does not exist.
 * @throws TypeError for an argument that is neither a token nor a hook.
 * @throws the SDK's `WorkflowRuntimeError` for a payload that cannot be serialized; nothing is
 *   written then.
 * @throws WorkflowWorldError when the database cannot be used.
 */
export async function resumeHook(
  tokenOrHook: string | Hook,
  payload: unknown,
  keyOrOptions?: PayloadKey | ResumeHookOptions,
): Promise<Hook> {
  const engine = engineOf(processWorld());
  if (!engine) return resumeElsewhere(tokenOrHook, payload, optionsOf(keyOrOptions));
  const resumed = tracedResume(
    () => tokenOf(tokenOrHook),
    () => tracesTokens(engine.config()),
    (span) => resume(engine, tokenOrHook, payload, keyOrOptions, span),
  );
  return outlivingTheRequest(resumed);
}

/**
 * Finds the live hook with a token, its metadata hydrated.
 *
 * @throws HookNotFoundError with the token, when no live hook has it.
 */
export async function getHookByToken(token: string): Promise<Hook> {
  if (typeof token !== 'string') throw new TypeError('A hook token must be a string.');
  const engine = engineOf(processWorld());
  if (!engine) return hookElsewhere(token);
  checkToken(token);
  const native = await engine.look();
  // The run is not loaded, because a hook cannot outlive its run in this World.
  const read = pointRead<{ hook: NativeRecord }>(native.getHookByToken(token));
  const { json, bytes } = read instanceof Promise ? await read : read;
  return hydrated(toHook(json.hook, bytes), engine);
}

async function resume(
  engine: Engine,
  tokenOrHook: string | Hook,
  payload: unknown,
  keyOrOptions: PayloadKey | ResumeHookOptions | undefined,
  span: ResumeSpan | undefined,
): Promise<Hook> {
  const options = optionsOf(keyOrOptions);
  const token = tokenOf(tokenOrHook);
  checkToken(token);
  const native = await engine.connect();
  const place: Place = { engine, native };
  const { encryptionKey, idempotencyKey, idempotencyWindow } = options;
  const sending: Sending = encryptionKey ? { encryptionKey, span } : { span };
  if (idempotencyKey !== undefined) {
    sending.once = await resumeKey(token, payload, idempotencyKey, idempotencyWindow);
    const earlier = await hookOfEarlierResume(native, sending.once);
    if (earlier) return typeof tokenOrHook === 'string' ? hydrated(earlier, engine) : tokenOrHook;
  }
  if (typeof tokenOrHook !== 'string') {
    return resumeTarget(place, await findRunOf(native, tokenOrHook), payload, sending);
  }
  return resumeByToken(place, tokenOrHook, payload, sending);
}

async function resumeByToken(
  place: Place,
  token: string,
  payload: unknown,
  sending: Sending,
): Promise<Hook> {
  const { engine, native } = place;
  const plain = plainPayload(place, payload, sending);
  let target: Target;
  try {
    target = await (plain ? resumePlainly(native, token, plain) : findByToken(place, token));
  } catch (error) {
    // Another call with the same key may have resumed the hook meanwhile, and so ended its run.
    const earlier = sending.once && (await hookOfEarlierResume(native, sending.once));
    if (earlier) return hydrated(earlier, engine);
    throw error;
  }
  await hydrated(target.hook, engine);
  if (!target.isResumed) return resumeTarget(place, target, payload, sending);
  sending.span?.found(target.hook);
  return resumed(engine, target, sending.span);
}

/** The payload for {@link resumePlainly}; `undefined` when the run must be known to serialize it. */
function plainPayload(
  { engine, native }: Place,
  payload: unknown,
  { encryptionKey, once }: Sending,
): Uint8Array | undefined {
  if (!native.looksUpRemotely()) return undefined;
  if (encryptionKey || once || engine.config().encryptionKeys !== undefined) return undefined;
  // A step that is repeated looks for its hook first.
  if (stepAttempt()) return undefined;
  return presentLine().serializer.dehydratePlain(payload);
}

/** As {@link findByToken}; also sends the payload, unless this hook needs another one. */
async function resumePlainly(
  native: NativeWorld,
  token: string,
  payload: Uint8Array,
): Promise<Target> {
  try {
    return targetOf(await settled(native.resumePlainly(token, payload)));
  } catch (error) {
    throw HookNotFoundError.is(error) ? concise(new HookNotFoundError(token)) : error;
  }
}

/** What comes after a commit. */
function resumed(engine: Engine, { hook, run }: Target, span: ResumeSpan | undefined): Hook {
  expectDelivery(engine);
  span?.committed(run);
  return hook;
}

/** Options of sending a payload. */
export interface Sending {
  /** Default: the run's own key. */
  encryptionKey?: PayloadKey;
  /** Resumes only if no earlier resume had this key. */
  once?: ResumeKey;
  /** The span that learns about the resume. */
  span?: ResumeSpan;
}

/** Sends a payload to a hook that was found. Streams in the payload go to `world`, if given. */
export async function resumeTarget(
  { engine, native }: Place,
  { hook, run }: Target,
  payload: unknown,
  { encryptionKey, once, span }: Sending,
  world?: World,
): Promise<Hook> {
  span?.found(hook);
  const v1Compat = (hook.specVersion ?? 1) <= 1;
  const line = lineOfSpec(hook.specVersion);
  const key = encryptionKey ?? (await runKey(engine, hook.runId, line));
  const value = await dehydrateFor({ hook, run }, payload, { line, v1Compat, key, world });
  const encoded = encodePayload(value);
  const bytes = encoded?.bytes ?? new Uint8Array(0);
  const send = (stepResume?: StepResume) => {
    const request = JSON.stringify({
      runId: hook.runId,
      hookId: hook.hookId,
      token: hook.token,
      payloadFormat: encoded?.format,
      specVersion: line.specVersion,
      v1Compat,
      stepResume,
      ...once,
    });
    return settled(
      once ? native.resumeHookOnce(request, bytes) : native.resumeHook(request, bytes),
    );
  };
  const sent = sentByStep(hook.runId, hook.token, value);
  try {
    await (sent ? resumeOnce(engine, sent, send) : send());
  } catch (error) {
    // For a hook object, SDK 4.8.9 puts the hook's id into the error; our callers need the token.
    throw HookNotFoundError.is(error) ? concise(new HookNotFoundError(hook.token)) : error;
  }
  return resumed(engine, { hook, run }, span);
}

/** A target as the addon answers it. */
interface NativeTarget extends Omit<Target, 'hook'> {
  hook: NativeRecord;
}

function targetOf({ json, bytes }: Answer<NativeTarget>): Target {
  return { ...json, hook: toHook(json.hook, bytes) };
}

/**
 * The live hook with a token, its metadata as stored, and its run: a point read. To the code of a step
 * also the hook that it has resumed before it was cut off.
 */
export async function findByToken({ engine, native }: Place, token: string): Promise<Target> {
  try {
    return targetOf(await pointRead<NativeTarget>(native.hookForResume(token)));
  } catch (error) {
    const again = HookNotFoundError.is(error) && (await hookToResumeAgain(engine, native, token));
    if (again) return findRunOf(native, again);
    throw error;
  }
}

/** Returns the same hook, with its metadata as the SDK of this process shows it. */
export function hydrated(hook: Hook, engine: Engine): Promise<Hook> {
  const { metadata, runId } = hook;
  return presentLine().showMetadata(hook, async () => {
    const line = lineOfSpec(hook.specVersion);
    const key = await runKey(engine, runId, line);
    return line.serializer.hydrateMetadata(metadata, runId, key, currentWorld);
  });
}

// For a hook object the hook itself is not looked up: the call returns the caller's object, and the
// atomic operation notices when the hook is gone.
async function findRunOf(native: NativeWorld, hook: Hook): Promise<Target> {
  const { json } = await pointRead<{ run: Target['run'] }>(native.runForResume(hook.runId));
  return { hook, run: json.run };
}

/** How a payload is written. */
interface Writing {
  line: Line;
  v1Compat: boolean;
  key: PayloadKey | undefined;
  world: World | undefined;
}

async function dehydrateFor(
  { hook, run }: Target,
  payload: unknown,
  { line, v1Compat, key, world }: Writing,
): Promise<unknown> {
  const uploads: Promise<unknown>[] = [];
  const { runId, hookId, specVersion } = hook;
  try {
    const coreVersion = run.executionContext?.workflowCoreVersion;
    const target = { runId, coreVersion, specVersion, v1Compat, key };
    return await line.serializer.dehydratePayload(payload, target, uploads, currentWorld, world);
  } finally {
    flushInBackground(uploads, 'a hook payload', { runId, hookId });
  }
}

const OPTIONS = ['encryptionKey', 'idempotencyKey', 'idempotencyWindow'];

/**
 * The third argument is the SDK's `encryptionKeyOverride`, or our options. Options are a plain
 * object, and a key of Web Crypto never is, in any realm; the SDK may have other keys.
 */
function optionsOf(keyOrOptions: PayloadKey | ResumeHookOptions | undefined): ResumeHookOptions {
  if (keyOrOptions === undefined || keyOrOptions === null) return {};
  const prototype = Object.getPrototypeOf(keyOrOptions);
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
  if (!isPlain || presentLine().serializer.isKey(keyOrOptions)) {
    return { encryptionKey: keyOrOptions as PayloadKey };
  }
  const unknown = Object.keys(keyOrOptions).find((name) => !OPTIONS.includes(name));
  if (unknown === undefined) return keyOrOptions as ResumeHookOptions;
  throw new TypeError(`resumeHook() has no option "${unknown}"; it has ${OPTIONS.join(', ')}.`);
}

/** The token that an argument of `resumeHook` names; a TypeError when it names none. */
function tokenOf(tokenOrHook: unknown): string {
  if (typeof tokenOrHook === 'string') return tokenOrHook;
  if (tokenOrHook === null || typeof tokenOrHook !== 'object') {
    throw new TypeError('resumeHook() takes a hook token (a string) or a hook object.');
  }
  const hook = tokenOrHook as Hook;
  for (const field of ['runId', 'hookId', 'token'] as const) {
    if (typeof hook[field] !== 'string') {
      throw new TypeError(
        `The hook object given to resumeHook() has no ${field}: pass one that getHookByToken() has returned.`,
      );
    }
  }
  return hook.token;
}

/**
 * Refuses a token that no hook can have, without asking the database. A lone surrogate would be
 * replaced on its way to the store, and the token might then name another hook.
 */
export function checkToken(token: string): void {
  if (token.length <= TOKEN_LENGTH_MAX && token.isWellFormed()) return;
  throw concise(new HookNotFoundError(token));
}
