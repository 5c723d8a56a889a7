/** Messages: enqueueing them, and the handlers that take them. */
import type { Queue, QueueMessageOptions } from '../../index';
import { deploymentId } from '../engine/config';
import { fenceOf, runOf } from '../engine/delivery';
import type { Engine } from '../engine/engine';
import { type QueueHandler, registerHandler } from '../engine/handlers';
import { settled } from '../native/binding';
import { invalid } from '../native/errors';
import { optionalText, storableJson } from '../native/requests';
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
      checkQueueName(queueName);
      const { request, body } = encode(engine, queueName, message, options);
      const native = await engine.connect();
      const reply = native.enqueue(storableJson(request) as string, body);
      return { messageId: (await settled<{ messageId: string }>(reply)).json.messageId };
    },
    async queueBatch(queueName: string, messages: readonly BatchedMessage[]) {
      if (!Array.isArray(messages)) throw invalid('The messages of a batch must be a list.');
      checkQueueName(queueName);
      return enqueueAll(engine, queueName, messages);
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

type BatchedMessage = { message: unknown; opts?: QueueMessageOptions };
type BatchResult = { messageId: string } | { messageId: null; error: string; retryable: boolean };

/** Enqueues messages in one commit. One that can never be enqueued does not hold up the others. */
async function enqueueAll(
  engine: Engine,
  queueName: string,
  messages: readonly BatchedMessage[],
): Promise<BatchResult[]> {
  const encoded = messages.map(({ message, opts }) => {
    try {
      return encode(engine, queueName, message, opts);
    } catch (error) {
      return refused(error as Error);
    }
  });
  const sent = encoded.filter((one) => 'body' in one);
  const requests = sent.map(({ request, body }) => ({ ...request, len: body.length }));
  const native = await engine.connect();
  const reply = native.enqueueAll(
    storableJson(requests) as string,
    Buffer.concat(sent.map(({ body }) => body)),
  );
  type Enqueued = { messageId: string } | { error: string };
  const outcomes = (await settled<Enqueued[]>(reply)).json.values();
  return encoded.map((one) => {
    if (!('body' in one)) return one;
    const outcome = outcomes.next().value as Enqueued;
    return 'error' in outcome ? refused(JSON.parse(outcome.error)) : outcome;
  });
}

function refused({ message }: { message: string }): BatchResult {
  return { messageId: null, error: message, retryable: false };
}

function checkQueueName(queueName: unknown): void {
  if (typeof queueName === 'string' && QUEUE_NAME.test(queueName)) return;
  throw invalid(
    'A queue name must begin with __wkf_workflow_ or __wkf_step_, or with one of them in a namespace (__name_wkf_step_).',
  );
}

/** A message as it crosses to the addon. */
function encode(
  engine: Engine,
  queueName: string,
  message: unknown,
  options: QueueMessageOptions | null | undefined,
): { request: object; body: Uint8Array } {
  const body = storableJson(message);
  if (body === undefined) throw invalid('A queue message must be a JSON value.');
  const { delaySeconds, idempotencyKey, headers, deploymentId } = options ?? {};
  if (delaySeconds !== undefined && !(Number.isFinite(delaySeconds) && delaySeconds >= 0)) {
    throw invalid('delaySeconds must be a number of seconds, zero or more.');
  }
  const request = {
    queueName: presentLine().delivery.queueFor(queueName, engine.config().queueNamespace),
    delaySeconds,
    idempotencyKey,
    headers,
    deploymentId: optionalText('deploymentId', deploymentId),
    fence: fenceOf(engine, runOf(message)),
  };
  return { request, body: new TextEncoder().encode(body) };
}
