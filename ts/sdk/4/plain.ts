/** Payloads of nothing but plain data, which need none of the SDK's reducers. */
import { encodeWithFormatPrefix, SerializationFormat } from '@workflow/core/serialization';
import { stringify } from 'devalue';

/** Deeper values, and wider ones in all, are left to the SDK's own function. */
const DEPTH_MAX = 16;
const VALUES_MAX = 1000;

/**
 * What the SDK's `dehydrateStepReturnValue` makes of a value of plain data: the same bytes, without
 * asking some thirty reducers about each part, which is most of the cost of a small payload.
 *
 * `undefined` when the value is, or holds, anything else: the SDK's own function is to be asked then.
 */
export function dehydratePlain(value: unknown): Uint8Array | undefined {
  let text: string;
  try {
    if (!isPlain(value, DEPTH_MAX, { left: VALUES_MAX })) return undefined;
    text = stringify(value);
  } catch {
    // A key that may not be (`__proto__`, a symbol), or a getter that throws. The SDK's own function
    // says so by its own error; this one would hold the payload.
    return undefined;
  }
  const bytes = new TextEncoder().encode(text);
  return encodeWithFormatPrefix(SerializationFormat.DEVALUE_V1, bytes) as Uint8Array;
}

/** Whether a value is of primitives, arrays and ordinary objects of this realm. */
function isPlain(value: unknown, depth: number, budget: { left: number }): boolean {
  if (value === null) return true;
  if (typeof value !== 'object') return typeof value !== 'function' && isPrimitive(value);
  budget.left -= 1;
  if (depth === 0 || budget.left < 0) return false;
  const ordinary = Array.isArray(value) ? Array.prototype : Object.prototype;
  if (Object.getPrototypeOf(value) !== ordinary) return false;
  // A tag, or a constructor of its own, is what makes a class instance of an object or an array.
  if (Symbol.toStringTag in value || Object.hasOwn(value, 'constructor')) return false;
  if (Array.isArray(value)) return value.every((item) => isPlain(item, depth - 1, budget));
  for (const key of Object.keys(value)) {
    if (!isPlain((value as Record<string, unknown>)[key], depth - 1, budget)) return false;
  }
  return true;
}

function isPrimitive(value: unknown): boolean {
  return typeof value !== 'symbol' && typeof value !== 'bigint';
}
