/** The encryption keys of runs, as the World derives them. */
import type { CryptoKey, WorkflowRun, World } from '../../index';
import type { Engine } from '../engine/engine';
import { pointRead } from '../native/binding';
import { invalid } from '../native/errors';
import { copyBytes } from '../native/json';
import { presentLine } from '../setup/installed-sdk';

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
  const { bytes } = await pointRead(native.runKey(runId));
  return bytes.length > 0 ? copyBytes(bytes) : undefined;
}

/** The key of a run of this engine, for the serializer; `undefined` when its values are plain. */
export async function runKey(engine: Engine, runId: string): Promise<CryptoKey | undefined> {
  const raw = await rawRunKey(engine, runId);
  return raw && presentLine().serializer.importKey(raw);
}

/** The key for a run that exists, or for one that is about to be started, named by its id. */
export async function encryptionKeyOf(
  world: World,
  run: WorkflowRun | string,
  context?: Record<string, unknown>,
): Promise<CryptoKey | undefined> {
  const raw =
    typeof run === 'string'
      ? await world.getEncryptionKeyForRun(run, context)
      : await world.getEncryptionKeyForRun(run);
  return raw && presentLine().serializer.importKey(raw);
}
