/** Messages: enqueueing them, and the handlers that take them. */
import type { Queue, QueueMessageOptions } from '../../index';
import { deploymentId } from '../engine/config';
import { fenceOf, runOf } from '../engine/delivery';
import type { Engine } from '../engine/engine';
import { type QueueHandler, registerHandler } from '../engine/handlers';
import { settled } from '../native/binding';
import { invalid } from '../native/errors';
import { type Fence, optionalText, storableJson } from '../native/requests';
import { presentLine } from '../setup/installed-sdk';
import { givenWorld } from '../setup/target-world';
import { answerDelivery } from './http-delivery';

const QUEUE_NAME = /^__(?:[a-z][a-z0-9]*_)?wkf_(?:workflow|step)_.+$/s;

/** The `Queue` part of a World. */
export function createQueue(engine: Engine): Queue {
  return {
    async getDeploymentId() {
      return deploymentId();
    },
    async queue(queueName: string, message: unknown, options?: QueueMessageOptions) {
      const body = storableJson(message);
      if (body === undefined) throw invalid('A queue message must be a JSON value.');
      const fence = fenceOf(engine, runOf(message));
      const request = encodeRequest(engine, queueName, options ?? {}, fence);
      const native = await engine.connect();
      const reply = native.enqueue(request, new TextEncoder().encode(body));
      return { messageId: (await settled<{ messageId: string }>(reply)).json.messageId };
    },
    createQueueHandler(prefix: string, handler: QueueHandler) {
      if (typeof prefix !== 'string') throw invalid('A queue name prefix must be a string.');
      if (typeof handler !== 'function') throw invalid('A queue handler must be a function.');
      const registration = registerHandler(engine, prefix, handler);
      return (request: Request) => {
        // The SDK keeps the handlers that it made with the World of the environment, so those of a
        // World that a test then sets by `setWorld()` come here.
        const other = givenWorld();
        if (other) return other.createQueueHandler(prefix, handler)(request);
        return answerDelivery(registration, request);
      };
    },
  } as Queue;
}

function encodeRequest(
  engine: Engine,
  queueName: unknown,
  options: QueueMessageOptions,
  fence: Fence | undefined,
): string {
  if (typeof queueName !== 'string' || !QUEUE_NAME.test(queueName)) {
    throw invalid(
      'A queue name must begin with __wkf_workflow_ or __wkf_step_, or with one of them in a namespace (__name_wkf_step_).',
    );
  }
  const { delaySeconds, idempotencyKey, headers } = options;
  if (delaySeconds !== undefined && !(Number.isFinite(delaySeconds) && delaySeconds >= 0)) {
    throw invalid('delaySeconds must be a number of seconds, zero or more.');
  }
  return storableJson({
    queueName: presentLine().delivery.queueFor(queueName, engine.config().queueNamespace),
    delaySeconds,
    idempotencyKey,
    headers,
    deploymentId: optionalText('deploymentId', options.deploymentId),
    fence,
  }) as string;
}
