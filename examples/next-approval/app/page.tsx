import { connection } from 'next/server';
import { ApprovalCard } from '@/components/approval-card';
import { pendingApprovals } from '@/lib/approvals';
import { ask } from './actions';

export default async function Page() {
  await connection();
  const pending = await pendingApprovals();
  return (
    <div className="columns">
      <section>
        <h1>Pending</h1>
        {pending.length === 0 && <p className="empty">Nothing waits for a decision.</p>}
        {pending.map((approval) => (
          <ApprovalCard key={approval.token} approval={approval} />
        ))}
      </section>
      <aside>
        <h2>Ask for something</h2>
        <form action={ask} className="card">
          <label>
            What for
            <input name="title" required placeholder="New chairs" />
          </label>
          <label>
            Amount in €
            <input name="amount" type="number" min="1" required placeholder="420" />
          </label>
          <label>
            Your name
            <input name="requester" required placeholder="Grace" />
          </label>
          <button type="submit" className="primary">
            Ask
          </button>
        </form>
      </aside>
    </div>
  );
}
