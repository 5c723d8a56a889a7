/** A delivery over HTTP: the request that the app's route gives to the World's handler. */
import { atWork, type HandlerOutcome, inDelivery, outcomeUnder } from '../engine/delivery';
import type { Engine } from '../engine/engine';
import { openedWorld, type QueueHandler } from '../engine/handlers';
import { answerOf, type NativeWorld, type PayloadRef, settled } from '../native/binding';
import { payloadOf } from '../native/records';
import { decodeStored } from '../native/stored-json';
import { handOver, isOfThisProcess, isRefusedForEver, timeoutOf } from './hand-over';

/** What becomes of a request; `src/queue/admission.rs` says what each means. */
type AdmittedDelivery =
  | { admission: 'enters'; leaseToken: string; body: PayloadRef }
  | { admission: 'joins'; leaseToken: string }
  | { admission: 'waits' | 'repeated' };

/** What a request says of itself. */
interface ClaimedDelivery {
  queueName: string;
  messageId: string;
  attempt: number;
  proof: string;
}

/**
 * One request over HTTP: a challenge, or a delivery. A delivery proves itself by its live lease, which
 * is checked before any code runs: the route is open to the world. What the handler is given comes
 * from the store, and it is given once, however often the request is repeated. The answer proves that
 * it is ours; all proofs are made in the addon (`src/crypto/delivery.rs`).
 */
export async function answerDelivery(
  engine: Engine,
  prefix: string,
  handler: QueueHandler,
  request: Request,
): Promise<Response> {
  const challenge = request.headers.get('x-hookline-challenge');
  const queueName = request.headers.get('x-vqs-queue-name');
  const messageId = request.headers.get('x-vqs-message-id');
  const attempt = Number(request.headers.get('x-vqs-message-attempt') ?? Number.NaN);
  const proof = request.headers.get('x-hookline-proof') ?? '';
  if (challenge === null) {
    if (!request.body) return refusal(400, 'Missing request body');
    if (!queueName || !messageId || !(Number.isSafeInteger(attempt) && attempt > 0)) {
      return refusal(400, 'Missing required headers');
    }
    if (!queueName.startsWith(prefix)) return refusal(400, 'Unhandled queue');
    if (proof === '') return refusal(401, NOT_LIVE);
  }
  try {
    const native = openedWorld(engine) ?? (await engine.look());
    if (challenge !== null) return answerChallenge(native, challenge);
    const claimed = { queueName, messageId, attempt, proof } as ClaimedDelivery;
    return await runAdmitted(engine, native, claimed, handler);
  } catch {
    // The reason may name the database, which is nothing for whoever sent this.
    return refusal(503, 'The delivery cannot be verified now');
  }
}

const NOT_LIVE = 'This request does not belong to a live delivery';

function answerChallenge(native: NativeWorld, challenge: string): Response {
  const { proof } = answerOf<{ proof: string }>(native.proveApp(challenge)).json;
  return Response.json({ ok: true }, { headers: { [HANDLED]: proof } });
}

/** Throws what keeps it from being verified; what the handler throws is an answer. */
async function runAdmitted(
  engine: Engine,
  native: NativeWorld,
  claimed: ClaimedDelivery,
  handler: QueueHandler,
): Promise<Response> {
  const reply = native.admitDelivery(JSON.stringify(claimed));
  const { json: admitted, bytes } = await settled<AdmittedDelivery | undefined>(reply);
  const { queueName, messageId, attempt } = claimed;
  switch (admitted?.admission) {
    case undefined:
      return refusal(401, NOT_LIVE);
    case 'repeated':
      return refusal(409, 'This delivery was taken before');
    // It comes again; until then the queue counts it as not reached.
    case 'waits':
      return refusal(503, 'An earlier delivery still runs');
    case 'joins': {
      const outcome = outcomeUnder(engine, messageId, admitted.leaseToken);
      // It runs in another thread.
      if (!outcome) return refusal(503, 'An earlier delivery still runs');
      return handled(native, claimed, await outcome);
    }
    case 'enters': {
      const body = payloadOf(admitted.body, bytes) as Uint8Array;
      const delivery = { key: engine.key(), messageId, leaseToken: admitted.leaseToken };
      const outcome = atWork(delivery, async () => {
        const message = decodeStored(new TextDecoder().decode(body));
        return inDelivery(delivery, message, () =>
          handOver(engine, handler, message, { attempt, queueName, messageId }),
        );
      });
      try {
        return handled(native, claimed, await outcome);
      } finally {
        native.endDelivery(messageId);
      }
    }
  }
}

/** Tells the queue whether the message comes again: to anybody, to another process, or never. */
function failureStatus(error: unknown, queueName: string): number {
  if (isOfThisProcess(error)) return 503;
  return isRefusedForEver(error, queueName) ? 422 : 500;
}

/** The header by which an answer proves itself: the queue takes no other for one. */
const HANDLED = 'x-hookline-handled';

/** The answer to a request with this proof, for what its handler came to. */
function handled(
  native: NativeWorld,
  { proof, queueName }: ClaimedDelivery,
  { error, result }: HandlerOutcome,
): Response {
  const seconds = timeoutOf(result);
  const done = seconds === undefined ? { ok: true } : { timeoutSeconds: seconds };
  const status = error === undefined ? 200 : failureStatus(error, queueName);
  const body = JSON.stringify(error === undefined ? done : String(error));
  const answer = answerOf<{ proof: string }>(native.proveAnswer(proof, status, body)).json;
  const headers = { 'content-type': 'application/json', [HANDLED]: answer.proof };
  return new Response(body, { status, headers });
}

function refusal(status: number, error: string): Response {
  return Response.json({ error }, { status });
}
