/** The encryption key of a run, as the World derives it. */
import type { CryptoKey, WorkflowRun, World } from '../index';
import { importKey } from './serialize';

/** What a World with encryption has beside its documented methods. */
interface KeyedWorld {
  getEncryptionKeyForRun?(
    run: WorkflowRun | string,
    context?: Record<string, unknown>,
  ): Promise<Uint8Array | undefined>;
}

/** The key for a run that exists, or for one that is about to be started, named by its id. */
export async function encryptionKeyOf(
  world: World,
  run: WorkflowRun | string,
  context?: Record<string, unknown>,
): Promise<CryptoKey | undefined> {
  const raw = await (world as KeyedWorld).getEncryptionKeyForRun?.(run, context);
  return raw && importKey(raw);
}
