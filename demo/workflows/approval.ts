import { createHook } from 'workflow';

export interface Invoice {
  number: string;
  amount: number;
}

export interface Decision {
  approved: boolean;
  by: string;
}

export async function approval(invoice: Invoice) {
  'use workflow';

  // The token is made from what the approver's side knows, so nobody has to store it anywhere.
  // Metadata tells that side what it is asked to decide.
  const hook = createHook<Decision>({ token: `invoice-${invoice.number}`, metadata: invoice });

  // The run costs nothing while it waits: no process, no timer, a row in the database.
  const decision = await hook;
  if (!decision.approved) return { status: 'rejected', by: decision.by };
  const receipt = await pay(invoice);
  return { status: 'paid', receipt, by: decision.by };
}

async function pay(invoice: Invoice) {
  'use step';

  // A finished step is remembered: whatever happens next, this line is not printed again.
  console.log(`step: paying ${invoice.amount} EUR for invoice ${invoice.number}`);
  return `receipt-${invoice.number}`;
}
