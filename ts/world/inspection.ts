/** Shows the queue: how many messages there are, and which were given up. */
import type { DeadMessage, Inspection, PageRequest, WorldStats } from '../../index';
import type { Engine } from '../engine/engine';
import { type NativeWorkerFault, toWorkerFault } from '../engine/worker-faults';
import { settled } from '../native/binding';
import { invalid } from '../native/errors';
import { type NativeRecord, toDeadMessage, toPage } from '../native/records';
import { paging } from '../native/requests';

/** The `Inspection` part of a World. */
export function createInspection(engine: Engine): Inspection {
  return {
    async stats() {
      const native = await engine.look();
      type Counted = Omit<WorldStats['deliveries'], 'faults'> & { faults: NativeWorkerFault[] };
      type Found = Omit<WorldStats, 'deliveries'> & { deliveries: Counted };
      const { deliveries, ...found } = (await settled<Found>(native.stats())).json;
      return {
        ...found,
        deliveries: { ...deliveries, faults: deliveries.faults.map(toWorkerFault) },
      };
    },
    async deadMessages(page?: PageRequest) {
      const query = JSON.stringify(paging(page));
      const native = await engine.look();
      const { json } = await settled<{
        data: NativeRecord[];
        cursor?: string | null;
        hasMore: boolean;
      }>(native.listDeadMessages(query));
      return toPage<DeadMessage>(json, toDeadMessage);
    },
    async redrive(messageId: string) {
      if (typeof messageId !== 'string') throw invalid('messageId must be a string.');
      const native = await engine.connect();
      const { json } = await settled<{ messageId: string }>(native.redrive(messageId));
      return { messageId: json.messageId };
    },
  };
}
