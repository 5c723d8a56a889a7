import { createHook, createWebhook, getWorkflowMetadata, getWritable, sleep } from 'workflow';
import { euros } from '../lib/euros';

/** What somebody asks for. */
export interface ApprovalRequest {
  title: string;
  amount: number;
  requester: string;
}

/** What the approver answers. */
export interface Decision {
  approved: boolean;
  by: string;
}

/** One line of the live progress. */
export interface Progress {
  at: string;
  text: string;
}

/** How a run ends. */
export interface Outcome {
  status: 'paid' | 'rejected';
  by: string;
  receipt?: string;
}

/** How long an approved payment can still be stopped by hand. */
const GRACE = '2s';

/**
 * Waits for a decision for as long as it takes, also across restarts, then pays. The decision comes
 * from the page or the REST route (a hook), or from a link (a webhook).
 *
 * A run that waits here was begun by the code of an earlier release. A new release may change what a
 * step does; it may not change which hooks and steps come before the decision, or their order. Such
 * a change is a new workflow, under a new name: Hookline's guide "Releases" shows how.
 */
export async function approval(request: ApprovalRequest): Promise<Outcome> {
  'use workflow';

  const location = `/runs/${getWorkflowMetadata().workflowRunId}`;
  const link = createWebhook({
    // For the browser that has posted the form of the page `approve/[token]`. The answer is given
    // before this workflow goes on, so it leads to the page that follows the run.
    respondWith: new Response(null, { status: 303, headers: { location } }),
  });
  // The page of pending approvals reads it. Without a `token` the hook gets a secret one.
  const hook = createHook<Decision>({ metadata: { ...request, link: link.token } });
  await report(`${request.requester} asks for ${euros(request.amount)}`);

  const { approved, by } = await Promise.race([hook, clicked(link)]);
  // The approval is decided. It is no longer pending, and nobody can decide again.
  hook.dispose();
  link.dispose();
  await report(`${approved ? 'Approved' : 'Rejected'} by ${by}`);
  if (!approved) return finish({ status: 'rejected', by });

  await sleep(GRACE);
  const receipt = await pay(request);
  return finish({ status: 'paid', by, receipt });
}

/** Whoever has the link may approve. Only a POST does: mail programs open every link by themselves. */
async function clicked(link: PromiseLike<Request>): Promise<Decision> {
  for (;;) {
    const { method } = await link;
    if (method === 'POST') return { approved: true, by: 'link' };
  }
}

async function finish(outcome: Outcome): Promise<Outcome> {
  await report(outcome.receipt ? `Paid, receipt ${outcome.receipt}` : 'Nothing was paid');
  await endReport();
  return outcome;
}

/** Here an app would call its bank. Its answer is stored: a replay does not pay again. */
async function pay({ title, amount }: ApprovalRequest): Promise<string> {
  'use step';
  console.log(`paying ${euros(amount)} for ${title}`);
  return `R-${crypto.randomUUID().slice(0, 8).toUpperCase()}`;
}

async function report(text: string): Promise<void> {
  'use step';
  const writer = getWritable<Progress>().getWriter();
  await writer.write({ at: new Date().toISOString(), text });
  writer.releaseLock();
}

async function endReport(): Promise<void> {
  'use step';
  await getWritable<Progress>().close();
}
