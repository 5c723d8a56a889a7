/** `hookline backup <file>`: copies the database while the app runs. */
import { resolve } from 'node:path';
import type { Context } from './context';
import { size } from './print';

/** Copies the database. */
export async function backup(
  { world, print, location }: Context,
  file: string,
): Promise<undefined> {
  const made = await world('reader').backup(file);
  const path = resolve(file);
  print.answer({ file: path, ...made }, () => {
    print.line(`Copied ${location} to ${path}: ${made.runs} runs, ${made.events} events.`);
    print.line(`${size(made.bytes)}, checked, on disk.`);
  });
}
