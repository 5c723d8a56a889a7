/** The encryption keys of runs, as the World derives them. */
import type { CryptoKey, WorkflowRun, World } from '../../index';
import { argumentsOf } from '../engine/delivery';
import type { Engine } from '../engine/engine';
import type { Line } from '../lines/line';
import { lineOfSpec } from '../lines/table';
import { pointRead } from '../native/binding';
import { invalid } from '../native/errors';
import { copyBytes } from '../native/json';

/** The part of a World by which the SDK encrypts. */
export function createKeys(engine: Engine): Pick<World, 'getEncryptionKeyForRun'> {
  return {
    async getEncryptionKeyForRun(run: WorkflowRun | string) {
      const runId = typeof run === 'string' ? run : run?.runId;
      if (typeof runId !== 'string')
        throw invalid('getEncryptionKeyForRun() takes a run or the id of a run.');
      return rawRunKey(engine, runId);
    },
  };
}

async function rawRunKey(engine: Engine, runId: string): Promise<Uint8Array | undefined> {
  // Without a key ring nothing is encrypted, so the database need not be opened.
  if (engine.config().encryptionKeys === undefined) return undefined;
  const native = await engine.look();
  // The runtime asks while it still tells the World of a run that its delivery brings.
  const { bytes } = await pointRead(native.runKey(runId, argumentsOf(engine, runId)));
  return bytes.length > 0 ? copyBytes(bytes) : undefined;
}

/** The key of a run of this engine and line, for the serializer; `undefined` when its values are plain. */
export async function runKey(
  engine: Engine,
  runId: string,
  { serializer }: Line,
): Promise<CryptoKey | undefined> {
  const raw = await rawRunKey(engine, runId);
  return raw && serializer.importKey(raw);
}

/** The key of a run. */
export async function encryptionKeyOf(
  world: World,
  run: WorkflowRun,
): Promise<CryptoKey | undefined> {
  const raw = await world.getEncryptionKeyForRun(run);
  return raw && lineOfSpec(run.specVersion).serializer.importKey(raw);
}
