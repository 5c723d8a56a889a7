import { createHook } from 'workflow';

/** Waits for a decision for as long as it takes, then pays. */
export async function approval(invoice: string) {
  'use workflow';

  const hook = createHook<{ approved: boolean }>({ token: `invoice-${invoice}` });
  const { approved } = await hook;
  return approved ? pay(invoice) : 'refused';
}

/** Its answer is stored: a replay does not pay again. */
async function pay(invoice: string) {
  'use step';
  console.log(`paying ${invoice}`);
  return `receipt ${invoice}`;
}
