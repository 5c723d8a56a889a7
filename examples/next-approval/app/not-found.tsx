import Link from 'next/link';

/** The page for an unknown path, and for an approval that no longer exists. */
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
