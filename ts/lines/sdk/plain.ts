/** Serializes payloads of plain data, which need none of the reducers of any SDK. */
import { stringify } from 'devalue';

/** The SDK's own function serializes values that are deeper, or have more parts in all. */
const DEPTH_MAX = 16;
const VALUES_MAX = 1000;

/**
 * Makes the same text as the SDK's `dehydrateStepReturnValue` from a value of plain data, without
 * asking some thirty reducers about each part, which is most of the cost of a small payload.
 *
 * Returns `undefined` when the value is, or holds, anything else; then call the SDK's own function.
 */
export function plainText(value: unknown): string | undefined {
  try {
    if (!isPlain(value, DEPTH_MAX, { left: VALUES_MAX })) return undefined;
    return stringify(value);
  } catch {
    // The cause is a forbidden key (`__proto__`, a symbol), or a getter that throws. The SDK's own
    // function reports that with its own error; the error here would hold the payload.
    return undefined;
  }
}

/** Whether a value is of primitives, arrays and ordinary objects of this realm. */
function isPlain(value: unknown, depth: number, budget: { left: number }): boolean {
  if (value === null) return true;
  if (typeof value !== 'object') return typeof value !== 'function' && isPrimitive(value);
  budget.left -= 1;
  if (depth === 0 || budget.left < 0) return false;
  const ordinary = Array.isArray(value) ? Array.prototype : Object.prototype;
  if (Object.getPrototypeOf(value) !== ordinary) return false;
  // The SDK treats an object or an array with a tag, or with its own constructor, as a class
  // instance.
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
