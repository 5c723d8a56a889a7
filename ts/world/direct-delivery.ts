/** A delivery without HTTP: the addon calls it, and the handler runs in this process. */
import { inDelivery } from '../engine/delivery';
import type { Engine } from '../engine/engine';
import { handlerFor } from '../engine/handlers';
import type { NativeDelivery, NativeWorld } from '../native/binding';
import { decodeStored } from '../native/stored-json';
import { handOver, isOfThisProcess, isRefusedForEver, timeoutOf } from './hand-over';

/**
 * One direct delivery: runs the handler and tells the addon how it went, exactly once.
 * Never throws, because it is called from native code.
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
    const handler = handlerFor(engine, queueName);
    if (!handler) throw new Error(`No handler is registered for the queue "${queueName}".`);
    const message = decodeStored(new TextDecoder().decode(body));
    const lease = { key: engine.key(), messageId, leaseToken };
    const result = await inDelivery(lease, message, () =>
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
        refused: isRefusedForEver(error, queueName),
      }),
    )
    .then((outcome) => native.settleDelivery(deliveryId, outcome))
    // A World that closed meanwhile has released the message; there is nobody left to tell.
    .catch(() => undefined);
}
