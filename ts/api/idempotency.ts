/**
 * Identifies a resume with an idempotency key: by digests of its key and of its payload.
 *
 * The digest is of the serialized payload before encryption, because encryption differs from call
 * to call. So the same value gives the same digest in every process; the order of an object's
 * fields matters.
 */
import { createHash } from 'node:crypto';
import type { Hook } from '../../index';
import { type NativeWorld, pointRead } from '../native/binding';
import { type NativeRecord, toHook } from '../native/records';
import { presentLine } from '../setup/installed-sdk';
import { IDEMPOTENCY_WINDOW_MS } from './limits';

/** Longest idempotency key, in UTF-16 units. */
const KEY_LENGTH_MAX = 1024;

/** A key as it crosses to the addon. */
export interface ResumeKey {
  token: string;
  keyDigest: string;
  payloadDigest: string;
  windowMs: number;
}

/**
 * Makes the key of a resume.
 *
 * @throws TypeError for a key that is not a string or is too long, and for a payload with streams:
 *   two streams cannot be compared without reading them.
 */
export async function resumeKey(
  token: string,
  payload: unknown,
  idempotencyKey: unknown,
  windowMs: number = IDEMPOTENCY_WINDOW_MS,
): Promise<ResumeKey> {
  if (typeof idempotencyKey !== 'string' || idempotencyKey === '') {
    throw new TypeError('idempotencyKey must be a string that is not empty.');
  }
  if (idempotencyKey.length > KEY_LENGTH_MAX) {
    throw new TypeError(`idempotencyKey must have at most ${KEY_LENGTH_MAX} characters.`);
  }
  const uploads: Promise<unknown>[] = [];
  const serialized = await presentLine().serializer.serializedForDigest(payload, uploads);
  if (uploads.length > 0) {
    // The streams are discarded, so their failures do not matter.
    for (const upload of uploads) upload.catch(() => undefined);
    throw new TypeError(
      'A payload with streams cannot have an idempotencyKey: read the streams, and send their contents.',
    );
  }
  const keyDigest = digest(JSON.stringify([token, idempotencyKey]));
  return { token, keyDigest, payloadDigest: digest(serialized), windowMs };
}

/**
 * The hook of an earlier resume with this key, its metadata as stored; it may no longer be live.
 *
 * @throws IdempotencyConflictError when the key was used for another payload.
 */
export async function hookOfEarlierResume(
  native: NativeWorld,
  key: ResumeKey,
): Promise<Hook | undefined> {
  const { json, bytes } = await pointRead<{ hook: NativeRecord } | undefined>(
    native.earlierResume(JSON.stringify(key)),
  );
  return json && toHook(json.hook, bytes);
}

function digest(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
