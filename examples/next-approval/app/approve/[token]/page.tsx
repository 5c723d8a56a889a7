import { notFound } from 'next/navigation';
import { approvalByLink } from '@/lib/approvals';
import { euros } from '@/lib/euros';

/** Where the link in a mail leads. Its button calls the webhook that the workflow waits for. */
export default async function ApprovePage({ params }: { params: Promise<{ token: string }> }) {
  const { token } = await params;
  const approval = await approvalByLink(token);
  if (!approval) notFound();
  const { title, amount, requester } = approval;
  return (
    <section>
      <h1>Approve?</h1>
      <form method="post" action={`/.well-known/workflow/v1/webhook/${token}`} className="card">
        <div className="row">
          <div>
            <h3>{title}</h3>
            <p className="quiet">{requester}</p>
          </div>
          <strong className="amount">{euros(amount)}</strong>
        </div>
        <div className="row end">
          <button type="submit" className="primary">
            Approve
          </button>
        </div>
      </form>
    </section>
  );
}
