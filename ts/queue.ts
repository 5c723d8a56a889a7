/** Messages: enqueueing them, and the HTTP handler that takes deliveries. */
import type { Queue, QueueMessageOptions } from '../index';
import { deploymentId } from './config';
import type { Engine } from './engine';
import { invalid } from './errors';
import {
  isOfThisProcess,
  openedWorld,
  type QueueHandler,
  registerHandler,
  timeoutOf,
} from './handlers';
import { answerOf, type NativeWorld, type PayloadRef, settled } from './native';
import { payloadOf } from './records';
import { handOver, isRefusedForEver } from './refused';
import { storableJson } from './storage';
import { decodeStored } from './stored-json';

const QUEUE_NAME = /^__(?:[a-z][a-z0-9]*_)?wkf_(?:workflow|step)_.+$/s;
const BARE_STEP_PREFIX = '__wkf_step_';

/** The `Queue` part of a World. */
export function createQueue(engine: Engine): Queue {
  return {
    async getDeploymentId() {
      return deploymentId();
    },
    async queue(queueName: string, message: unknown, options?: QueueMessageOptions) {
      const body = storableJson(message);
      if (body === undefined) throw invalid('A queue message must be a JSON value.');
      const request = encodeRequest(engine, queueName, options ?? {});
      const native = await engine.connect();
      const reply = native.enqueue(request, new TextEncoder().encode(body));
      return { messageId: (await settled<{ messageId: string }>(reply)).json.messageId };
    },
    createQueueHandler(prefix: string, handler: QueueHandler) {
      if (typeof prefix !== 'string') throw invalid('A queue name prefix must be a string.');
      if (typeof handler !== 'function') throw invalid('A queue handler must be a function.');
      registerHandler(engine, prefix, handler);
      return (request: Request) => answerDelivery(engine, prefix, handler, request);
    },
  } as Queue;
}

function encodeRequest(engine: Engine, queueName: unknown, options: QueueMessageOptions): string {
  if (typeof queueName !== 'string' || !QUEUE_NAME.test(queueName)) {
    throw invalid(
      'A queue name must begin with __wkf_workflow_ or __wkf_step_, or such with a namespace.',
    );
  }
  const { delaySeconds, idempotencyKey, headers } = options;
  if (delaySeconds !== undefined && !(Number.isFinite(delaySeconds) && delaySeconds >= 0)) {
    throw invalid('delaySeconds must be a number of seconds, zero or more.');
  }
  return storableJson({
    queueName: inNamespace(queueName, engine.config().queueNamespace),
    delaySeconds,
    idempotencyKey,
    headers,
  }) as string;
}

// SDK 4.8.9 forgets the namespace when it enqueues a step, but listens on the queue that has it.
function inNamespace(queueName: string, namespace: string | undefined): string {
  if (!namespace || !queueName.startsWith(BARE_STEP_PREFIX)) return queueName;
  return `__${namespace}_wkf_step_${queueName.slice(BARE_STEP_PREFIX.length)}`;
}

/** What the queue itself holds of a delivery, and whether it may run. */
interface AdmittedDelivery {
  admission: 'admitted' | 'stillRunning' | 'repeated';
  body: PayloadRef;
}

/** What a request says of itself. */
interface ClaimedDelivery {
  queueName: string;
  messageId: string;
  attempt: number;
  leaseToken: string;
}

/**
 * One delivery over HTTP. The request proves itself by the lease token of the live delivery, which
 * is checked against the store before any code runs: the route is open to the world. What the
 * handler is given comes from the store too, so a token that leaked says nothing of its own; and it
 * is given once, however often the request is repeated.
 */
async function answerDelivery(
  engine: Engine,
  prefix: string,
  handler: QueueHandler,
  request: Request,
): Promise<Response> {
  const queueName = request.headers.get('x-vqs-queue-name');
  const messageId = request.headers.get('x-vqs-message-id');
  const attempt = Number(request.headers.get('x-vqs-message-attempt') ?? Number.NaN);
  const leaseToken = request.headers.get('x-hookline-lease') ?? '';
  if (!request.body) return refusal(400, 'Missing request body');
  if (!queueName || !messageId || !(Number.isSafeInteger(attempt) && attempt > 0)) {
    return refusal(400, 'Missing required headers');
  }
  if (!queueName.startsWith(prefix)) return refusal(400, 'Unhandled queue');
  if (leaseToken === '') return refusal(401, NOT_LIVE);
  const claimed = { queueName, messageId, attempt, leaseToken };
  try {
    const native = openedWorld(engine) ?? (await engine.connect());
    return await runAdmitted(engine, native, claimed, handler);
  } catch {
    // The reason may name the database, which is nothing for whoever sent this.
    return refusal(503, 'The delivery cannot be verified now');
  }
}

const NOT_LIVE = 'This request does not belong to a live delivery';

/** Throws what keeps it from being verified; what the handler throws is an answer. */
async function runAdmitted(
  engine: Engine,
  native: NativeWorld,
  claimed: ClaimedDelivery,
  handler: QueueHandler,
): Promise<Response> {
  const reply = native.admitDelivery(JSON.stringify(claimed));
  const { json: admitted, bytes } = answerOf<AdmittedDelivery | undefined>(reply);
  if (!admitted) return refusal(401, NOT_LIVE);
  if (admitted.admission === 'repeated') return refusal(409, 'This delivery was taken before');
  // It comes again; until then the queue counts it as not reached.
  if (admitted.admission === 'stillRunning') return refusal(503, 'An earlier delivery still runs');
  const { queueName, messageId, attempt, leaseToken } = claimed;
  try {
    const body = payloadOf(admitted.body, bytes) as Uint8Array;
    const message = decodeStored(new TextDecoder().decode(body));
    const seconds = timeoutOf(
      await handOver(engine, handler, message, { attempt, queueName, messageId }),
    );
    return handled(
      messageId,
      200,
      seconds === undefined ? { ok: true } : { timeoutSeconds: seconds },
    );
  } catch (error) {
    return handled(messageId, failureStatus(error, queueName), String(error));
  } finally {
    native.endDelivery(leaseToken);
  }
}

/** Tells the queue whether the message comes again: to anybody, to another process, or never. */
function failureStatus(error: unknown, queueName: string): number {
  if (isOfThisProcess(error)) return 503;
  return isRefusedForEver(error, queueName) ? 422 : 500;
}

/** An answer of the handler itself: the queue takes no other for one (`src/queue/http.rs`). */
function handled(messageId: string, status: number, answer: unknown): Response {
  return Response.json(answer, { status, headers: { 'x-hookline-handled': messageId } });
}

function refusal(status: number, error: string): Response {
  return Response.json({ error }, { status });
}
