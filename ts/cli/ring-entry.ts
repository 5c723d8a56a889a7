/** New master keys, for the key ring. */
import { randomBytes } from 'node:crypto';

/** Bytes of a master key. */
const KEY_LENGTH = 32;

/**
 * Makes a new entry of a key ring, `id:base64`, with a random master key. The entry is a secret, so
 * only the caller gets it.
 *
 * @param id - Its name, 1 to 64 letters, digits, `-`, `_` and `.`; by default the date and a random
 *   part.
 */
export function newRingEntry(id = freshId()): string {
  if (!/^[\w.-]{1,64}$/.test(id)) {
    throw new TypeError("The id of a key has 1 to 64 letters, digits, '-', '_' and '.'.");
  }
  return `${id}:${randomBytes(KEY_LENGTH).toString('base64')}`;
}

function freshId(): string {
  return `${new Date().toISOString().slice(0, 10)}-${randomBytes(2).toString('hex')}`;
}
