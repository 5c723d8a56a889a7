/** Functions for operators; no workflow uses them. */
import { resolve } from 'node:path';
import type { Upkeep } from '../../index';
import type { Engine } from '../engine/engine';
import { absence } from '../engine/place';
import { settled } from '../native/binding';
import { invalid, toError } from '../native/errors';

function noDatabase(engine: Engine): Error {
  const message = absence(engine.place());
  return toError({ code: 'CANNOT_OPEN', message, details: { status: 500 } });
}

/** The `Upkeep` part of a World. */
export function createUpkeep(engine: Engine): Upkeep {
  return {
    async backup(file: string) {
      if (typeof file !== 'string' || file === '') throw invalid('A backup needs a file name.');
      // An empty copy would look like a backup.
      if (engine.isAbsent()) throw noDatabase(engine);
      const native = await engine.connect();
      type Made = { bytes: number; runs: number; events: number };
      return (await settled<Made>(native.backUp(resolve(file)))).json;
    },
  };
}
