/**
 * `resumeWebhook`, as `workflow/api` documents it: a request resumes a hook that was made by
 * `createWebhook()`, and the webhook's `respondWith` determines the response.
 */
import type { Hook, ResumeWebhookOptions, World } from '../../index';
import { checkTimeout, runEnd } from '../engine/awaiting';
import { tracesTokens } from '../engine/config';
import type { Engine } from '../engine/engine';
import { after } from '../engine/timer';
import { concise, HookNotFoundError, TimeLimitError } from '../native/errors';
import { presentLine } from '../setup/installed-sdk';
import { createStreams } from '../world/streams';
import { engineOf, processWorld, withStreams } from '../world/world';
import { outlivingTheRequest } from './background';
import { resumeWebhookElsewhere } from './elsewhere';
import { checkToken, findByToken, hydrated, type Place, resumeTarget, type Target } from './hooks';
import { tracedResume } from './telemetry';

/** The symbol under which the serializer finds the stream of the workflow's response. */
const RESPONSE_WRITABLE = Symbol.for('WEBHOOK_RESPONSE_WRITABLE');

type Answering = Request & { [RESPONSE_WRITABLE]?: WritableStream<Response> };

/**
 * Resumes the webhook with a token, and returns the response to the request.
 *
 * @throws HookNotFoundError with the token, when no live webhook has it, also when the token
 *   belongs to a hook that is not a webhook.
 * @throws WorkflowRuntimeError when the webhook's `respondWith` is invalid, and when its run ends
 *   or closes the response without sending one.
 * @throws TimeLimitError when a manual response takes longer than `timeout`.
 * @throws WorkflowWorldError when the database cannot be used.
 */
export async function resumeWebhook(
  token: string,
  request: Request,
  { timeout }: ResumeWebhookOptions = {},
): Promise<Response> {
  if (typeof token !== 'string') throw new TypeError('A webhook token must be a string.');
  checkTimeout(timeout);
  const world = processWorld();
  const engine = engineOf(world);
  if (!world || !engine) return resumeWebhookElsewhere(token, request, timeout);
  checkToken(token);
  const native = await engine.connect();
  const target = await findByToken({ engine, native }, token);
  // This comes before any other use of the hook, because the caller must not learn that such a hook
  // exists.
  if (target.hook.isWebhook === false) throw concise(new HookNotFoundError(token));
  const { metadata } = await hydrated(target.hook, engine);
  const respondWith = respondWithOf(await metadata);
  if (respondWith !== 'manual') {
    await outlivingTheRequest(resumeFound({ engine, native }, target, request));
    return respondWith;
  }
  return manualResponse({ world, engine, target, request, timeout });
}

/** Resumes a webhook that was found, as `resumeHook` does. */
function resumeFound(place: Place, target: Target, request: Request, world?: World): Promise<Hook> {
  return tracedResume(
    () => target.hook.token,
    () => tracesTokens(place.engine.config()),
    (span) => resumeTarget(place, target, request, { span }, world),
  );
}

/** How the webhook answers: with this response, or with the workflow's response (`manual`). */
function respondWithOf(metadata: unknown): Response | 'manual' {
  if (metadata === null || typeof metadata !== 'object' || !('respondWith' in metadata)) {
    return new Response(null, { status: 202 });
  }
  const { respondWith } = metadata as { respondWith: unknown };
  if (respondWith === 'manual' || respondWith instanceof Response) return respondWith;
  throw concise(
    presentLine().serializer.runtimeError(
      `Invalid \`respondWith\` value: ${respondWith}`,
      'webhook-invalid-respond-with-value',
    ),
  );
}

interface ManualAnswer {
  world: World;
  engine: Engine;
  target: Target;
  request: Answering;
  timeout: number | undefined;
}

async function manualResponse(answer: ManualAnswer): Promise<Response> {
  const { world, engine, target, request } = answer;
  const { readable, writable } = new TransformStream<Response, Response>();
  request[RESPONSE_WRITABLE] = writable;
  // The response arrives on the only stream that this resume reads.
  let responseStream: string | undefined;
  const streams = createStreams(engine);
  const noting = withStreams(world, engine, {
    ...streams,
    get(runId, name, startIndex) {
      responseStream = name;
      return streams.get(runId, name, startIndex);
    },
  });
  const sentChunks = async () => {
    if (responseStream === undefined) return 0;
    return (await streams.getInfo(target.hook.runId, responseStream)).tailIndex + 1;
  };
  const native = await engine.connect();
  const reader = readable.getReader();
  try {
    await outlivingTheRequest(resumeFound({ engine, native }, target, request, noting));
    return await firstResponse(reader, answer, sentChunks);
  } finally {
    // The wait is over: a later response must not be read, and no read may stay pending.
    await reader.cancel();
  }
}

async function firstResponse(
  reader: ReadableStreamDefaultReader<Response>,
  { engine, target, timeout }: ManualAnswer,
  sentChunks: () => Promise<number>,
): Promise<Response> {
  const over = new AbortController();
  const first = reader.read().then(({ value }) => value && buffered(value));
  // A failure after the wait does not matter.
  first.catch(() => undefined);
  const limit = timeLimit(timeout, over.signal);
  const ended = endedWithoutResponse(engine, target.hook.runId, over.signal, sentChunks);
  try {
    const response = await Promise.race([first, ended, limit]);
    if (response) return response;
  } finally {
    over.abort();
  }
  throw concise(
    presentLine().serializer.runtimeError(
      'Workflow run did not send a response',
      'webhook-response-not-sent',
    ),
  );
}

/** Rejects when the time is over; never settles without a limit, or when the wait is over. */
function timeLimit(timeout: number | undefined, over: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (timeout === undefined) return;
    const cancel = after(timeout, () => reject(new TimeLimitError('The response', timeout)));
    over.addEventListener('abort', cancel, { once: true });
  });
}

/** Resolves when the run has ended and no response is on its way; never otherwise. */
async function endedWithoutResponse(
  engine: Engine,
  runId: string,
  signal: AbortSignal,
  sentChunks: () => Promise<number>,
): Promise<undefined> {
  const ended = await runEnd(engine, runId, { signal }).catch(() => undefined);
  if (ended && (await sentChunks()) === 0) return undefined;
  // A response that was sent before the end has arrived and will be read.
  return new Promise(() => undefined);
}

/**
 * Reads the body of the response into memory, because the workflow may have ended when the response
 * is sent.
 */
async function buffered(response: Response): Promise<Response> {
  if (!response.body) return response;
  const { status, statusText, headers } = response;
  return new Response(await response.arrayBuffer(), { status, statusText, headers });
}
