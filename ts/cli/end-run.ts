/** `hookline cancel <run>` and `hookline fail <run>`. */
import type { Context } from './context';

/** Cancels a run, as `run.cancel()` does. */
export async function cancel(
  { world, print }: Context,
  { runId }: { runId: string },
): Promise<undefined> {
  const producer = world('producer');
  const { specVersion } = producer;
  await producer.events.create(runId, { eventType: 'run_cancelled', specVersion });
  print.answer({ runId, status: 'cancelled' }, () => print.line(`Cancelled run ${runId}.`));
}

/** Fails a run with a message, so that those who await its result get an error. */
export async function fail(
  { world, print }: Context,
  { runId, message }: { runId: string; message: string },
): Promise<undefined> {
  const producer = world('producer');
  const { specVersion } = producer;
  const eventData = { error: { message }, errorCode: 'USER_ERROR' };
  await producer.events.create(runId, { eventType: 'run_failed', specVersion, eventData });
  print.answer({ runId, status: 'failed' }, () => print.line(`Failed run ${runId}.`));
}
