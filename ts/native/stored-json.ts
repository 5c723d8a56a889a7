/** JSON that the database gave: what is none was damaged there, or written by somebody else. */
import { toError } from './errors';
import { decodeJson } from './json';

/**
 * The value of a stored text.
 *
 * @throws WorkflowWorldError with code `CORRUPT` for a text that is no JSON; it is not quoted.
 */
export function decodeStored(text: string): unknown {
  try {
    return decodeJson(text);
  } catch {
    const message =
      'the database file is damaged; restore it from a backup [a stored value is not JSON]';
    throw toError({ code: 'CORRUPT', message, details: { status: 500 } });
  }
}
