/**
 * Typed JSON: JSON in which bytes survive, as `{"__type":"Uint8Array","data":"<base64>"}`.
 *
 * It is what queue bodies and non-binary payloads are stored as. The tag is the one that the SDK's
 * own Worlds use, so a message is readable by its tools; plain JSON is a valid document too.
 */

const TAG = 'Uint8Array';

/** How `JSON.stringify` writes half of a surrogate pair (and how an escaped backslash may look). */
const LONE_SURROGATE = /\\ud[89a-f]/;

/** Whether a value is a `Uint8Array` (a `Buffer` counts), made in whatever realm. */
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
 * The text of a value; `undefined` when JSON has none for it (`undefined`, a function, a symbol).
 *
 * A lone surrogate becomes U+FFFD, because nothing but JavaScript can hold one: an error message
 * that was cut within an emoji must not make the event of that error unstorable.
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
  // `value` has been through toJSON, which turns a Buffer into an object; the holder has it as it is.
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
