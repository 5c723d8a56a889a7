import { createHook } from 'workflow';

/** Pauses at a hook, then runs one step. */
export async function lifecycle(token: string) {
  'use workflow';

  const payload = await createHook<{ approved: boolean }>({ token });
  return await note(token, payload);
}

async function note(token: string, payload: { approved: boolean }) {
  'use step';

  (globalThis as { stepStarted?: (token: string) => void }).stepStarted?.(token);
  return payload;
}
