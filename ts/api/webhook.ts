/**
 * `resumeWebhook`, as `workflow/api` documents it: a request resumes a hook that was made by
 * `createWebhook()`, and is answered as the webhook says.
 */
import type { Hook, ResumeWebhookOptions, World } from '../../index';
import { checkTimeout, runEnd } from '../engine/awaiting';
import { tracesTokens } from '../engine/config';
import type { Engine } from '../engine/engine';
import { after } from '../engine/timer';
import { HookNotFoundError, TimeLimitError, WorkflowRuntimeError } from '../native/errors';
import { currentWorld, engineOf } from '../world/world';
import { outlivingTheRequest } from './background';
import { checkToken, findByToken, hydrated, type Place, resumeTarget, type Target } from './hooks';
import { tracedResume } from './telemetry';

/** Where the serializer looks for the stream by which the workflow answers. */
const RESPONSE_WRITABLE = Symbol.for('WEBHOOK_RESPONSE_WRITABLE');

type Answering = Request & { [RESPONSE_WRITABLE]?: WritableStream<Response> };

/**
 * Resumes the webhook that a token names, and returns the response for the request.
 *
 * @throws HookNotFoundError with the token, when no live webhook has it, also when a hook has it that
 *   the public must not resume.
 * @throws WorkflowRuntimeError when the webhook's `respondWith` is invalid, and when its run ends or
 *   closes the response without having sent one.
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
  checkToken(token);
  const world = currentWorld();
  const engine = engineOf(world) as Engine;
  const native = await engine.connect();
  const target = await findByToken(native, token);
  // Before anything else of it is looked at: nobody may learn that such a hook exists.
  if (target.hook.isWebhook === false) throw new HookNotFoundError(token);
  await hydrated(target.hook, engine);
  const respondWith = respondWithOf(target.hook);
  if (respondWith !== 'manual') {
    await outlivingTheRequest(resumeFound({ engine, native }, target, request));
    return respondWith;
  }
  return manualResponse({ world, engine, target, request, timeout });
}

/** Resumes a webhook that has been found, as `resumeHook` would. */
function resumeFound(place: Place, target: Target, request: Request, world?: World): Promise<Hook> {
  return tracedResume(
    () => target.hook.token,
    () => tracesTokens(place.engine.config()),
    (span) => resumeTarget(place, target, request, { span }, world),
  );
}

/** How the webhook answers: with this response, or `manual`, by its workflow. */
function respondWithOf({ metadata }: Hook): Response | 'manual' {
  if (metadata === null || typeof metadata !== 'object' || !('respondWith' in metadata)) {
    return new Response(null, { status: 202 });
  }
  const { respondWith } = metadata as { respondWith: unknown };
  if (respondWith === 'manual' || respondWith instanceof Response) return respondWith;
  throw new WorkflowRuntimeError(`Invalid \`respondWith\` value: ${respondWith}`, {
    slug: 'webhook-invalid-respond-with-value',
  });
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
  // The only stream that this resume reads from is the one by which the response comes.
  let responseStream: string | undefined;
  const noting: World = {
    ...world,
    readFromStream(name, startIndex) {
      responseStream = name;
      return world.readFromStream(name, startIndex);
    },
  };
  const sentChunks = async () => {
    if (responseStream === undefined) return 0;
    return (await world.getStreamInfo(responseStream, target.hook.runId)).tailIndex + 1;
  };
  const native = await engine.connect();
  const reader = readable.getReader();
  try {
    await outlivingTheRequest(resumeFound({ engine, native }, target, request, noting));
    return await firstResponse(reader, answer, sentChunks);
  } finally {
    // Nobody waits any more: what comes now must not be read, and nothing must be waited for.
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
  // Whatever comes too late is nobody's business.
  first.catch(() => undefined);
  const limit = timeLimit(timeout, over.signal);
  const ended = endedWithoutResponse(engine, target.hook.runId, over.signal, sentChunks);
  try {
    const response = await Promise.race([first, ended, limit]);
    if (response) return response;
  } finally {
    over.abort();
  }
  throw new WorkflowRuntimeError('Workflow run did not send a response', {
    slug: 'webhook-response-not-sent',
  });
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
  // A response that was sent before the end is there and will be read.
  return new Promise(() => undefined);
}

/** The response with its body in memory: it is sent on when the workflow may have gone. */
async function buffered(response: Response): Promise<Response> {
  if (!response.body) return response;
  const { status, statusText, headers } = response;
  return new Response(await response.arrayBuffer(), { status, statusText, headers });
}
