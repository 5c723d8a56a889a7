/** `hookline keygen`: a new master key for the key ring. */

import { CommandError, type Context, EXIT } from './context';
import { newRingEntry } from './ring-entry';

/** Prints a new entry of a key ring, and nothing else on standard output. */
export async function keygen({ print }: Context, id: string | undefined): Promise<undefined> {
  let entry: string;
  try {
    entry = newRingEntry(id);
  } catch (error) {
    throw new CommandError((error as Error).message, EXIT.usage);
  }
  print.answer({ entry }, () => print.line(entry));
  print.note(
    'A secret: keep it where the app finds it as WORKFLOW_HOOKLINE_ENCRYPTION_KEYS, the newest first, ' +
      'and in a safe place. What is encrypted with it is lost without it.',
  );
}
