/** Several releases, or lines of the SDK, on one database: what tests ask of them. */

import { hookline } from '../command-line';
import { databaseIn } from '../databases';
import { type App, type Sdk, startApp } from './harness';

export type Signed = { before: string; n: number; after: string };

export function release(data: string, id: string, sdk: Sdk): Promise<App> {
  return startApp({ data, sdk, env: { WORKFLOW_HOOKLINE_DEPLOYMENT_ID: id } });
}

/** What a command of `npx hookline` prints, and how it ends. */
export async function command(data: string, ...args: string[]) {
  const env = { WORKFLOW_HOOKLINE_URL: databaseIn(data) };
  return hookline(args, { env });
}

/** Starts a run that waits for its hook. */
export async function parked(app: App, token: string): Promise<string> {
  const runId = await app.start('signed', token);
  await app.hooksReady(token);
  return runId;
}

/** How many messages are due, and how many wait for a process that may take them. */
export const due = (app: App) =>
  app.ask<{ messages: { due: number; parked: number } }>('stats').then(({ messages }) => messages);

export async function statusOf(app: App, runId: string): Promise<string> {
  return (await app.ask<{ status: string }>('run', { runId })).status;
}
