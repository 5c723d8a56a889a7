/** The way from a folder to the root; like its users, it gets Node's modules when it runs. */
import { builtin } from '../native/node-version';

/** A folder and those above it, the nearest first. */
export function* upwards(folder: string): Generator<string> {
  const { dirname } = builtin('node:path');
  for (let at = folder, below = ''; at !== below; at = dirname(at)) {
    yield at;
    below = at;
  }
}
