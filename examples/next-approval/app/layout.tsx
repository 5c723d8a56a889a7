import type { Metadata } from 'next';
import Link from 'next/link';
import type { ReactNode } from 'react';
import './globals.css';

export const metadata: Metadata = {
  title: 'Approvals',
  description: 'Durable approvals on Hookline',
};

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <header>
          <Link href="/" className="brand">
            <span className="mark" aria-hidden="true" /> Approvals
          </Link>
          <span className="quiet">durable on one file</span>
        </header>
        <main>{children}</main>
      </body>
    </html>
  );
}
