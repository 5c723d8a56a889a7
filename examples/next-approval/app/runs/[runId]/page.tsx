import { getRun } from 'hookline';
import Link from 'next/link';
import { notFound } from 'next/navigation';
import { ProgressList } from '@/components/progress-list';

export default async function RunPage({ params }: { params: Promise<{ runId: string }> }) {
  const { runId } = await params;
  const run = getRun(runId);
  if (!(await run.exists)) notFound();
  return (
    <section>
      <h1>Progress</h1>
      <div className="card">
        <ProgressList runId={runId} />
      </div>
      <p className="quiet">
        <code>{runId}</code> · <Link href="/">back to what is pending</Link>
      </p>
    </section>
  );
}
