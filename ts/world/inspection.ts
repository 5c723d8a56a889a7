/** Shows the queue: how many messages there are, and which were given up or are held. */
import type { DeadMessage, HeldMessage, Inspection, PageRequest } from '../../index';
import type { Engine } from '../engine/engine';
import { toWorkerFault } from '../engine/worker-faults';
import { settled } from '../native/binding';
import { invalid } from '../native/errors';
import { type NativeRecord, toDeadMessage, toHeldMessage, toPage } from '../native/records';
import { paging } from '../native/requests';
import { sentenceOf } from './pulse';
import { readDeliveries } from './workers';

/** The `Inspection` part of a World. */
export function createInspection(engine: Engine): Inspection {
  type Listed = { data: NativeRecord[]; cursor?: string | null; hasMore: boolean };
  const list = async (method: 'listDeadMessages' | 'listHeldMessages', page?: PageRequest) => {
    const query = JSON.stringify(paging(page));
    const native = await engine.look();
    return (await settled<Listed>(native[method](query))).json;
  };
  return {
    async stats() {
      const { stats, stall } = await readDeliveries(engine);
      const { deliveries, parked: _, ...counts } = stats;
      return {
        ...counts,
        deliveries: { ...deliveries, faults: deliveries.faults.map(toWorkerFault) },
        stalled: stall ? { cause: stall.cause, message: sentenceOf(stall) } : null,
      };
    },
    async deadMessages(page?: PageRequest) {
      return toPage<DeadMessage>(await list('listDeadMessages', page), toDeadMessage);
    },
    async heldMessages(page?: PageRequest) {
      return toPage<HeldMessage>(await list('listHeldMessages', page), toHeldMessage);
    },
    async redrive(messageId: string) {
      if (typeof messageId !== 'string') throw invalid('messageId must be a string.');
      const native = await engine.connect();
      const { json } = await settled<{ messageId: string }>(native.redrive(messageId));
      return { messageId: json.messageId };
    },
  };
}
