/** A delivery over HTTP: the request that the app's route gives to the World's handler. */
import { atWork, type HandlerOutcome, inDelivery, outcomeUnder } from '../engine/delivery';
import { openedWorld, type Registration } from '../engine/handlers';
import { answerOf, type NativeWorld, type PayloadRef, settled } from '../native/binding';
import { isCodeMismatch } from '../native/errors';
import { payloadOf } from '../native/records';
import { decodeStored } from '../native/stored-json';
import { presentLine } from '../setup/installed-sdk';
import { noteServed } from './first-use';
import { handOver, isOfThisProcess, isRefusedForEver, timeoutOf } from './hand-over';

/** The admission of a request; `src/queue/admission.rs` defines each kind. */
type AdmittedDelivery =
  | { admission: 'enters'; leaseToken: string; body: PayloadRef }
  | { admission: 'joins'; leaseToken: string }
  | { admission: 'waits' | 'repeated' };

/** The delivery that a request claims to be. */
interface ClaimedDelivery {
  queueName: string;
  messageId: string;
  attempt: number;
  proof: string;
}

/**
 * Answers one request over HTTP: a challenge, or a delivery. The route is open to everyone, so a
 * delivery must prove its live lease before any code runs. The handler gets the message from the
 * store, and gets it once, even if the request is repeated. The answer proves that it comes from
 * this handler. The addon makes all proofs (`src/crypto/delivery.rs`).
 */
export async function answerDelivery(
  registration: Registration,
  request: Request,
): Promise<Response> {
  const { engine, prefix } = registration;
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
    noteServed();
    const native = openedWorld(engine) ?? (await engine.look());
    if (challenge !== null) return answerChallenge(native, challenge);
    const claimed = { queueName, messageId, attempt, proof } as ClaimedDelivery;
    return await runAdmitted(registration, native, claimed);
  } catch {
    // The reason may name the database, so the unknown sender must not see it.
    return refusal(503, 'The delivery cannot be verified now');
  }
}

const NOT_LIVE = 'This request does not belong to a live delivery';

function answerChallenge(native: NativeWorld, challenge: string): Response {
  const { proof } = answerOf<{ proof: string }>(native.proveApp(challenge)).json;
  return Response.json({ ok: true }, { headers: { [HANDLED]: proof } });
}

/**
 * Runs an admitted delivery. Throws when the delivery cannot be verified; an error of the handler
 * becomes an answer.
 */
async function runAdmitted(
  { engine, handler, loadedAtMs }: Registration,
  native: NativeWorld,
  claimed: ClaimedDelivery,
): Promise<Response> {
  const reply = native.admitDelivery(JSON.stringify(claimed));
  const { json: admitted, bytes } = await settled<AdmittedDelivery | undefined>(reply);
  const { queueName, messageId, attempt } = claimed;
  switch (admitted?.admission) {
    case undefined:
      return refusal(401, NOT_LIVE);
    case 'repeated':
      return refusal(409, 'This delivery was taken before');
    // The message is delivered again, and the queue counts this attempt as not reached.
    case 'waits':
      return refusal(503, 'An earlier delivery still runs');
    case 'joins': {
      const outcome = outcomeUnder(engine, messageId, admitted.leaseToken);
      // The handler runs in another thread.
      if (!outcome) return refusal(503, 'An earlier delivery still runs');
      return handled(native, claimed, await outcome);
    }
    case 'enters': {
      const body = payloadOf(admitted.body, bytes) as Uint8Array;
      const delivery = { key: engine.key(), messageId, leaseToken: admitted.leaseToken };
      // The app's routes have loaded their modules by now.
      const code = { loadedAtMs, lacksStep: !presentLine().delivery.isLoadedHere(queueName) };
      const outcome = atWork(delivery, async () => {
        const message = decodeStored(new TextDecoder().decode(body));
        return inDelivery(delivery, code, message, () =>
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

/**
 * The status that tells the queue who gets the message next: any process, another process, or none.
 */
function failureStatus(error: unknown): number {
  if (isCodeMismatch(error)) return 421;
  if (isOfThisProcess(error)) return 503;
  return isRefusedForEver(error) ? 422 : 500;
}

/** The header in which an answer proves itself; the queue accepts no answer without it. */
const HANDLED = 'x-hookline-handled';

/** The answer to a request with this proof, for the outcome of its handler. */
function handled(
  native: NativeWorld,
  { proof }: ClaimedDelivery,
  { error, result }: HandlerOutcome,
): Response {
  const seconds = timeoutOf(result);
  const done = seconds === undefined ? { ok: true } : { timeoutSeconds: seconds };
  const status = error === undefined ? 200 : failureStatus(error);
  const body = JSON.stringify(error === undefined ? done : String(error));
  const answer = answerOf<{ proof: string }>(native.proveAnswer(proof, status, body)).json;
  const headers = { 'content-type': 'application/json', [HANDLED]: answer.proof };
  return new Response(body, { status, headers });
}

function refusal(status: number, error: string): Response {
  return Response.json({ error }, { status });
}
