'use client';

import { useActionState } from 'react';
import { decide } from '@/app/actions';
import type { PendingApproval } from '@/lib/approvals';
import { euros } from '@/lib/euros';

/** A pending approval, with the buttons that resume its workflow. */
export function ApprovalCard({ approval }: { approval: PendingApproval }) {
  const [message, action, isPending] = useActionState(decide, '');
  const { title, amount, requester, token, runId, link } = approval;
  return (
    <form action={action} className="card" data-run={runId}>
      <div className="row">
        <div>
          <h3>{title}</h3>
          <p className="quiet">
            {requester} · <a href={`/runs/${runId}`}>progress</a> ·{' '}
            <a href={`/approve/${link}`}>approval link</a>
          </p>
        </div>
        <strong className="amount">{euros(amount)}</strong>
      </div>
      <input type="hidden" name="token" value={token} />
      <div className="row end">
        {message && <p role="alert">{message}</p>}
        <button type="submit" name="decision" value="reject" disabled={isPending}>
          Reject
        </button>
        <button
          type="submit"
          name="decision"
          value="approve"
          className="primary"
          disabled={isPending}
        >
          Approve
        </button>
      </div>
    </form>
  );
}
