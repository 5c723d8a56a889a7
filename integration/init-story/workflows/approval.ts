import { createHook } from 'workflow';

export async function approval(invoice: string) {
  'use workflow';
  const hook = createHook<{ approved: boolean }>({ token: `invoice-${invoice}` });
  const { approved } = await hook;
  return approved ? await pay(invoice) : 'rejected';
}

async function pay(invoice: string) {
  'use step';
  return `paid ${invoice}`;
}
