/** A workflow of the guides, and its caller: the SDK's types beside ours. */
import { getRun, resumeHook, start, waitForHook } from 'hookline';
import { createHook } from 'workflow';

export async function approval(invoice: string) {
  'use workflow';
  const hook = createHook<{ approved: boolean }>({
    token: `invoice-${invoice}`,
    metadata: { invoice },
  });
  const { approved } = await hook;
  return approved ? await pay(invoice) : 'rejected';
}

async function pay(invoice: string) {
  'use step';
  return `paid ${invoice}`;
}

export async function approve(invoice: string): Promise<string> {
  const { runId } = await start(approval, [invoice]);
  const hook = await waitForHook(`invoice-${invoice}`);
  await resumeHook<{ approved: boolean }>(hook, { approved: true });
  return getRun<string>(runId).returnValue;
}
