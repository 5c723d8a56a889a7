/** `hookline backup <file>`: copies the database while the app runs. */
import { resolve } from 'node:path';
import type { Context } from './context';
import { counted, size } from './print';

/** Copies the database. */
export async function backup(
  { world, print, location }: Context,
  file: string,
): Promise<undefined> {
  const made = await world('reader').backup(file);
  const path = resolve(file);
  print.answer({ file: path, ...made }, () => {
    const content = `${counted(made.runs, 'run')}, ${counted(made.events, 'event')}`;
    print.line(`Copied ${location} to ${path}: ${content}.`);
    print.line(`${size(made.bytes)}, checked, on disk.`);
  });
}
