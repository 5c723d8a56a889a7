/** Every overload, as a user's strict compiler sees it: without the SDK and without Node types. */
import {
  type CryptoKey,
  type FoundHook,
  getRun,
  type Hook,
  type Run,
  resumeHook,
  resumeWebhook,
  type runStep,
  start,
  type WorkflowReadableStream,
  waitForHook,
} from 'hookline';

/** Fails to compile unless both types are the same. */
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_proof: Same<A, B>): void {}

interface ApprovalPayload {
  approved: boolean;
  comment: string;
}

declare const hook: Hook;
declare const key: CryptoKey;
declare const greet: (name: string, times: number) => Promise<{ text: string }>;
declare const ping: () => Promise<'pong'>;
const metadata = { workflowId: 'workflow//./a//greet' };

export async function starts() {
  const typed = await start(greet, ['Ada', 2]);
  same<typeof typed, Run<{ text: string }>>(true);
  same<typeof typed.returnValue, Promise<{ text: string }>>(true);
  const withOptions = await start(greet, ['Ada', 2], { specVersion: 3 });
  same<typeof withOptions, Run<{ text: string }>>(true);
  const without = await start(ping);
  same<typeof without, Run<'pong'>>(true);
  const onlyOptions = await start(ping, { specVersion: 3 });
  same<typeof onlyOptions, Run<'pong'>>(true);
  const elsewhere = await start(greet, ['anything', {}], { deploymentId: 'latest' });
  same<typeof elsewhere, Run<unknown>>(true);
  const noArguments = await start(ping, { deploymentId: 'dpl_1' });
  same<typeof noArguments, Run<unknown>>(true);
  await start(metadata, ['whatever']);
  // @ts-expect-error the second argument of greet is a number
  await start(greet, ['Ada', 'twice']);
  // @ts-expect-error greet needs arguments
  await start(greet);
  // @ts-expect-error no workflow
  await start('greet', []);
}

export async function runs() {
  const run = getRun<{ text: string }>('wrun_1');
  same<typeof run, Run<{ text: string }>>(true);
  same<typeof run.exists, Promise<boolean>>(true);
  same<typeof run.startedAt, Promise<Date | undefined>>(true);
  same<typeof run.createdAt, Promise<Date>>(true);
  const { stoppedCount } = await run.wakeUp({ correlationIds: ['wait_1'] });
  same<typeof stoppedCount, number>(true);
  await run.cancel();
  const stream = run.getReadable<string>({ namespace: 'log', startIndex: -1 });
  same<typeof stream, WorkflowReadableStream<string>>(true);
  same<ReturnType<typeof stream.getTailIndex>, Promise<number>>(true);
  // @ts-expect-error a run's id does not change
  run.runId = 'wrun_2';
}

export async function resumes() {
  const payload = { approved: true, comment: 'fine' };
  same<Awaited<ReturnType<typeof resumeHook<ApprovalPayload>>>, FoundHook>(true);
  await resumeHook<ApprovalPayload>('token', payload);
  await resumeHook<ApprovalPayload>(hook, payload, key);
  await resumeHook<ApprovalPayload>('token', payload, { idempotencyKey: 'delivery-1' });
  await resumeHook('token', payload, { encryptionKey: key, idempotencyWindow: 60_000 });
  await resumeHook('token', payload, { idempotencyKey: undefined });
  // @ts-expect-error the payload lacks its comment
  await resumeHook<ApprovalPayload>('token', { approved: true });
  // @ts-expect-error there must be a payload
  await resumeHook<ApprovalPayload | null>('token', null);
  // @ts-expect-error no such option
  await resumeHook('token', payload, { idempotencykey: 'delivery-1' });
}

export async function webhooks(request: Request, signal: AbortSignal) {
  same<ReturnType<typeof resumeWebhook>, Promise<Response>>(true);
  await resumeWebhook('token', request);
  await resumeWebhook('token', request, { timeout: 30_000 });
  const found = await waitForHook('token', { timeout: 1000, signal });
  same<typeof found, FoundHook>(true);
  same<ReturnType<typeof runStep>, void>(true);
  // @ts-expect-error a request is no text
  await resumeWebhook('token', 'body');
}
