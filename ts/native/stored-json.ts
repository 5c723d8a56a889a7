/**
 * JSON from the database. A text that is not JSON was damaged there, or written by another program.
 */
import { toError } from './errors';
import { decodeJson } from './json';

/**
 * Parses a stored text.
 *
 * @throws WorkflowWorldError with code `CORRUPT` for a text that is not JSON; the message does not
 *   quote it.
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
