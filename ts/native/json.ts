/**
 * Typed JSON: JSON in which bytes survive, as `{"__type":"Uint8Array","data":"<base64>"}`.
 *
 * Queue bodies and non-binary payloads are stored in this format. The SDK's own Worlds use the same
 * tag, so the SDK's tools can read a message. Plain JSON is a valid document too.
 */

const TAG = 'Uint8Array';

/** How `JSON.stringify` writes half of a surrogate pair (and how an escaped backslash may look). */
const LONE_SURROGATE = /\\ud[89a-f]/;

/** Whether a value is a `Uint8Array` (a `Buffer` counts), made in any realm. */
export function isBytes(value: unknown): value is Uint8Array {
  return (
    ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === '[object Uint8Array]'
  );
}

/** A plain `Uint8Array` of this realm that shares no memory with its source. */
export function copyBytes(source: Uint8Array, start = 0, end = source.length): Uint8Array {
  const copy = new Uint8Array(end - start);
  copy.set(source.subarray(start, end));
  return copy;
}

/**
 * The JSON text of a value; `undefined` for a value that JSON cannot express (`undefined`, a
 * function, a symbol).
 *
 * A lone surrogate becomes U+FFFD, because only JavaScript can hold one. Otherwise an error message
 * that was cut within an emoji could not be stored.
 *
 * @throws TypeError for a bigint or a cycle.
 */
export function encodeJson(value: unknown): string | undefined {
  const text: string | undefined = JSON.stringify(value, tagBytes);
  if (text === undefined || !LONE_SURROGATE.test(text)) return text;
  return JSON.stringify(value, tagBytesMendText);
}

/** The value of a text written by {@link encodeJson}, or of any plain JSON text. */
export function decodeJson(text: string): unknown {
  // A reviver makes parsing several times slower, and most documents hold no bytes.
  return text.includes('"__type"') ? JSON.parse(text, untagBytes) : JSON.parse(text);
}

function tagBytes(this: unknown, key: string, value: unknown): unknown {
  // `toJSON` has already turned a Buffer in `value` into an object; the holder still has the
  // Buffer.
  const raw = (this as Record<string, unknown>)[key];
  if (!isBytes(raw)) return value;
  const data = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('base64');
  return { __type: TAG, data };
}

function tagBytesMendText(this: unknown, key: string, value: unknown): unknown {
  return typeof value === 'string' ? value.toWellFormed() : tagBytes.call(this, key, value);
}

function untagBytes(_key: string, value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  const { __type: type, data } = value as { __type?: unknown; data?: unknown };
  if (type !== TAG || typeof data !== 'string') return value;
  return copyBytes(Buffer.from(data, 'base64'));
}
