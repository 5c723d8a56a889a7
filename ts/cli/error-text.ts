import type { WorkflowRun, World } from '../../index';
import { lineOfSpec } from '../lines/table';
import { encryptionKeyOf } from '../world/keys';

/**
 * The error of a run, or of one of its steps, as a text; `undefined` if it has none. An error of line 5
 * is bytes, which need the key of the run.
 */
export async function errorText(
  world: World,
  run: Pick<WorkflowRun, 'runId' | 'specVersion'>,
  { error, errorCode }: { error?: unknown; errorCode?: string },
): Promise<string | undefined> {
  if (error === undefined || error === null) return undefined;
  const { serializer } = lineOfSpec(run.specVersion);
  const message = await encryptionKeyOf(world, run as WorkflowRun)
    .then((key) => serializer.errorMessage(error, run.runId, key))
    .catch(() => undefined);
  return message ?? `${errorCode ?? 'An error'}; its message is in bytes that only the app reads.`;
}
