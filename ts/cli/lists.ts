/** `hookline runs` and `hookline hooks`. */
import type { Hook, Page, PageRequest, RunStatus } from '../../index';
import type { Context } from './context';
import { ago, masked, type Row } from './print';

const PAGE = 1000;

/** Prints the newest runs. */
export async function runs(
  { world, print, location }: Context,
  { status, workflow, limit }: { status?: RunStatus; workflow?: string; limit: number },
): Promise<undefined> {
  const read = world('reader');
  const found = await upTo(limit, (page) =>
    read.runs.list({ status, workflowName: workflow, resolveData: 'none', ...page }),
  );
  print.answer(found, () => {
    const rows: Row[] = found.map((run) => ({
      run: run.runId,
      workflow: run.workflowName,
      status: run.status,
      created: ago(run.createdAt),
      ended: ago(run.completedAt),
      error: firstLine(run.error?.message),
    }));
    print.table(rows, `No runs in ${location}.`);
  });
}

/** Prints live hooks; with their tokens only on request. */
export async function hooks(
  { world, print, location }: Context,
  { run, limit, tokens }: { run?: string; limit: number; tokens?: boolean },
): Promise<undefined> {
  const read = world('reader');
  const list = (page: PageRequest) =>
    read.hooks.list({ runId: run, resolveData: 'none', ...page }) as Promise<Page<Hook>>;
  const found = await upTo(limit, list);
  const shown = found.map((hook) => ({
    ...hook,
    token: tokens ? hook.token : masked(hook.token),
  }));
  print.answer(shown, () => {
    const rows: Row[] = shown.map((hook) => ({
      token: hook.token,
      hook: hook.hookId,
      run: hook.runId,
      created: ago(hook.createdAt),
      webhook: hook.isWebhook ? 'yes' : '',
    }));
    print.table(rows, `No live hooks in ${location}.`);
  });
}

/** Reads up to `limit` items of a list. */
export async function upTo<T>(
  limit: number,
  list: (page: PageRequest) => Promise<Page<T>>,
): Promise<T[]> {
  const all: T[] = [];
  let cursor: string | undefined;
  while (all.length < limit) {
    const page = await list({ pagination: { limit: Math.min(PAGE, limit - all.length), cursor } });
    all.push(...page.data);
    if (!page.hasMore || page.cursor === null) break;
    cursor = page.cursor;
  }
  return all;
}

/** The first line of a text, short enough for a column. */
export function firstLine(text: string | undefined): string {
  const line = (text ?? '').split('\n', 1)[0] ?? '';
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}
