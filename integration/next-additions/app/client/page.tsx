'use client';

import { type Hook, HookNotFoundError } from 'hookline';

const hook: Pick<Hook, 'token'> = { token: 'a' };

/** A client component may use types and classes of errors. */
export default function Page() {
  return <p>{new HookNotFoundError(hook.token).name}</p>;
}
