import { start } from 'workflow/api';

/** Starts a run from its body, and returns its id. */
export async function bodyStartsChild() {
  'use workflow';

  return (await start(child)).runId;
}

/** Starts a run that starts a run; each returns the id of the one that it has started. */
export async function chainRoot() {
  'use workflow';

  return (await start(chainMiddle)).runId;
}

export async function chainMiddle() {
  'use workflow';

  return (await start(child)).runId;
}

export async function child() {
  'use workflow';

  await nothing();
}

async function nothing() {
  'use step';
}
