/** A delivery without HTTP: the addon calls it, and the handler runs in this process. */
import { inDelivery } from '../engine/delivery';
import type { Engine } from '../engine/engine';
import { handlerFor } from '../engine/handlers';
import type { NativeDelivery, NativeWorld } from '../native/binding';
import { isCodeMismatch } from '../native/errors';
import { decodeStored } from '../native/stored-json';
import { presentLine } from '../setup/installed-sdk';
import { handOver, isOfThisProcess, isRefusedForEver, timeoutOf } from './hand-over';

/**
 * Runs the handler of one direct delivery, and reports the outcome to the addon, exactly once.
 * Never throws, because native code calls it.
 */
export function deliver(
  engine: Engine,
  native: NativeWorld,
  delivery: string,
  body: Uint8Array,
): void {
  const { deliveryId, queueName, messageId, attempt, leaseToken } = JSON.parse(
    delivery,
  ) as NativeDelivery;
  const run = async (): Promise<string> => {
    if (!presentLine().delivery.isLoadedHere(queueName)) return JSON.stringify({ notLoaded: true });
    const registration = handlerFor(engine, queueName);
    if (!registration) throw new Error(`No handler is registered for the queue "${queueName}".`);
    const message = decodeStored(new TextDecoder().decode(body));
    const lease = { key: engine.key(), messageId, leaseToken };
    const { handler, loadedAtMs } = registration;
    const result = await inDelivery(lease, { loadedAtMs, lacksStep: false }, message, () =>
      handOver(engine, handler, message, { attempt, queueName, messageId }),
    );
    const seconds = timeoutOf(result);
    return JSON.stringify(seconds === undefined ? { done: true } : { timeoutSeconds: seconds });
  };
  run()
    .catch((error) =>
      JSON.stringify({
        error: String(error),
        unable: isOfThisProcess(error),
        codeMismatch: isCodeMismatch(error),
        refused: isRefusedForEver(error),
      }),
    )
    .then((outcome) => native.settleDelivery(deliveryId, outcome))
    // A World that closed meanwhile has released the message, so no one needs the outcome.
    .catch(() => undefined);
}
