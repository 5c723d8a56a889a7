/** What the person who runs a World asks of it; nothing here is on the path of a workflow. */
import { resolve } from 'node:path';
import type { Upkeep } from '../index';
import type { Engine } from './engine';
import { invalid } from './errors';
import { settled } from './native';

/** The `Upkeep` part of a World. */
export function createUpkeep(engine: Engine): Upkeep {
  return {
    async backup(file: string) {
      if (typeof file !== 'string' || file === '') throw invalid('A backup needs a file name.');
      const native = await engine.connect();
      type Made = { bytes: number; runs: number; events: number };
      return (await settled<Made>(native.backUp(resolve(file)))).json;
    },
  };
}
