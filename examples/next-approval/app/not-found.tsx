import Link from 'next/link';

/** For an unknown path, and for what is no longer there. */
export default function NotFound() {
  return (
    <section>
      <h1>Nothing is here</h1>
      <div className="card">
        <p>A link that approves works until somebody has decided, and then no more.</p>
        <p className="quiet">
          <Link href="/">See what is pending</Link>
        </p>
      </div>
    </section>
  );
}
