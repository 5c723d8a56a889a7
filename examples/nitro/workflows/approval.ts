import { createHook } from 'workflow';

/** Waits for a decision for as long as it takes, then pays. */
export async function approval(invoice: string, amount: number) {
  'use workflow';

  const hook = createHook<{ approved: boolean; by: string }>({
    token: `invoice-${invoice}`,
    metadata: { invoice, amount },
  });
  const { approved, by } = await hook;
  if (!approved) return { status: 'rejected', by };
  return { status: 'paid', by, receipt: await pay(invoice, amount) };
}

/** Here an app would call its bank. Its answer is stored: a replay does not pay again. */
async function pay(invoice: string, amount: number) {
  'use step';
  console.log(`paying ${amount} € for ${invoice}`);
  return `R-${invoice}`;
}
