/**
 * Resumes that the code of a step makes: each happens once, however often the step is delivered.
 *
 * A kill may cut a step off after its resume and before its end. Then the step runs again from its
 * beginning, and repeats the resume. `src/domain/step_resume.rs` says what becomes of it.
 */
import { createHash } from 'node:crypto';
import type { Hook } from '../../index';
import type { Engine } from '../engine/engine';
import { type StepAttempt, stepAttempt } from '../lines/step-context';
import { type NativeWorld, pointRead, settled } from '../native/binding';
import { isBytes } from '../native/json';
import { type NativeRecord, toHook } from '../native/records';
import type { StepResume } from '../native/requests';
import { presentLine } from '../setup/installed-sdk';
import { runKey } from './keys';

/** A payload that the code of a step sends to a hook of a run. */
export interface SentByStep {
  attempt: StepAttempt;
  runId: string;
  token: string;
  payload: Uint8Array;
}

/** A payload on its way to a hook, if the code of a step sends it. */
export function sentByStep(
  runId: string,
  token: unknown,
  payload: unknown,
): SentByStep | undefined {
  const attempt = stepAttempt();
  // Payloads of the first spec version are plain values, and come without a token.
  if (!attempt || typeof token !== 'string' || !isBytes(payload)) return undefined;
  return { attempt, runId, token, payload };
}

/** How many resumes an attempt has made from each place, and how many of these with each payload. */
const made = new WeakMap<object, Map<string, number>>();

function madeBy({ identity }: StepAttempt): Map<string, number> {
  const counts = made.get(identity) ?? new Map<string, number>();
  made.set(identity, counts);
  return counts;
}

/**
 * Makes a resume under the name by which a repetition of the step finds it again. Equal resumes of one
 * attempt are counted: each of them is a resume of its own.
 */
export async function resumeOnce<T>(
  engine: Engine,
  { attempt, runId, token, payload }: SentByStep,
  resume: (name: StepResume) => Promise<T>,
): Promise<T> {
  const place = await placeOf(engine, attempt, token);
  const name = { place, payload: digest(await beforeEncryption(engine, runId, payload)) };
  const counts = madeBy(attempt);
  const equal = JSON.stringify(name);
  const nth = counts.get(equal) ?? 0;
  counts.set(equal, nth + 1);
  try {
    const resumed = await resume({ ...name, nth });
    counts.set(place, (counts.get(place) ?? 0) + 1);
    return resumed;
  } catch (error) {
    // The code may try again, and the next attempt succeeds at once.
    if (counts.get(equal) === nth + 1) counts.set(equal, nth);
    throw error;
  }
}

/**
 * The hook with a token that this step has resumed before it was cut off, and that this attempt is to
 * resume again: as it was made, because it may be gone. `undefined` outside of steps.
 */
export async function hookToResumeAgain(
  engine: Engine,
  native: NativeWorld,
  token: string,
): Promise<Hook | undefined> {
  const attempt = stepAttempt();
  if (!attempt) return undefined;
  const place = await placeOf(engine, attempt, token);
  const repeated = madeBy(attempt).get(place) ?? 0;
  const { json, bytes } = await pointRead<{ hook: NativeRecord } | undefined>(
    native.hookOfStep(place, repeated, token),
  );
  return json && toHook(json.hook, bytes);
}

/** A digest of the step, of how often it has failed, and of a token. */
async function placeOf(engine: Engine, attempt: StepAttempt, token: string): Promise<string> {
  const { runId, stepId } = attempt;
  return digest(JSON.stringify([runId, stepId, await failuresBefore(engine, attempt), token]));
}

/**
 * How many attempts have failed before this one. An attempt that was cut off has not failed, so the
 * next one repeats it. After a failure the runtime begins the step anew.
 */
async function failuresBefore(engine: Engine, attempt: StepAttempt): Promise<number> {
  if (attempt.number <= 1) return 0;
  const native = await engine.look();
  const query = { runId: attempt.runId, correlationId: attempt.stepId, resolveData: false };
  let failures = 0;
  for (let cursor: string | undefined; ; ) {
    const { json } = await settled<{ data: NativeRecord[]; cursor?: string | null }>(
      native.listEventsByCorrelationId(JSON.stringify({ ...query, cursor })),
    );
    failures += json.data.filter(({ eventType }) => eventType === 'step_retrying').length;
    if (!json.cursor) return failures;
    cursor = json.cursor;
  }
}

/** Encryption differs from call to call, so it is undone for a comparison. */
async function beforeEncryption(
  engine: Engine,
  runId: string,
  payload: Uint8Array,
): Promise<Uint8Array> {
  const line = presentLine();
  const key = await runKey(engine, runId, line);
  return key ? line.serializer.decrypted(payload, key) : payload;
}

/** Half of a SHA-256 is enough: nobody gains by making two resumes of a step equal. */
function digest(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 32);
}
