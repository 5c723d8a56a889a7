// Shared by the processes of this folder: a database with hooks, which are resumed as in the
// documentation.

import { inspect } from 'node:util';
import { createWorld, resumeHook } from 'hookline';

export const SECRETS = ['token-7Kq2', 'payload-9Zx4'];
const bytes = (text) => new TextEncoder().encode(text);

/** Opens a database and makes it the database of `resumeHook`. */
export function useDatabase(path) {
  process.env.WORKFLOW_HOOKLINE_URL = path;
  return createWorld();
}

/** A run with one live hook. */
export async function seed(world, token) {
  const { run } = await world.events.create(null, {
    eventType: 'run_created',
    specVersion: 3,
    eventData: { deploymentId: 'd', workflowName: 'w', input: bytes('devl[[]]') },
  });
  await world.events.create(run.runId, {
    eventType: 'hook_created',
    specVersion: 3,
    correlationId: 'hook_1',
    eventData: { token },
  });
  return run.runId;
}

/** Resumes as the documented handler does; returns the handler's status, and the reason. */
export async function handle(token, payload) {
  try {
    await resumeHook(token, payload);
    return { status: 200 };
  } catch (error) {
    const missing = error instanceof Error && error.name === 'HookNotFoundError';
    return { status: missing ? 404 : 500, error: describe(error) };
  }
}

/** The parts of an error that the tests check. */
export function describe(error) {
  const { name, code, status, message } = error;
  // All text that a log could show.
  const shown = `${inspect(error, { depth: 9, showHidden: true })}${error.stack}${String(error)}`;
  return {
    name,
    code,
    status,
    message,
    isError: error instanceof Error,
    leaks: SECRETS.filter((secret) => shown.includes(secret)),
  };
}

/** The outcome of an operation: its result, or its error. */
export function outcomeOf(promise) {
  return promise.then(
    () => ({ ok: true }),
    (error) => ({ ok: false, error: describe(error) }),
  );
}
