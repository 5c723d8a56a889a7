/** `hookline cancel <run>` and `hookline fail <run>`. */
import { SPEC_VERSION } from '../sdk/spec-version';
import type { Context } from './context';

/** Cancels a run, as `run.cancel()` does. */
export async function cancel(
  { world, print }: Context,
  { runId }: { runId: string },
): Promise<undefined> {
  const cancelled = { eventType: 'run_cancelled', specVersion: SPEC_VERSION } as const;
  await world('producer').events.create(runId, cancelled);
  print.answer({ runId, status: 'cancelled' }, () => print.line(`Cancelled run ${runId}.`));
}

/** Fails a run with a message, so that those who await its result get an error. */
export async function fail(
  { world, print }: Context,
  { runId, message }: { runId: string; message: string },
): Promise<undefined> {
  const eventData = { error: { message }, errorCode: 'USER_ERROR' };
  const failed = { eventType: 'run_failed', specVersion: SPEC_VERSION, eventData } as const;
  await world('producer').events.create(runId, failed);
  print.answer({ runId, status: 'failed' }, () => print.line(`Failed run ${runId}.`));
}
