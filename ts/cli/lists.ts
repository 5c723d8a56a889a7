/** `hookline runs` and `hookline hooks`. */
import { parseWorkflowName } from '@workflow/utils/parse-name';
import type { Hook, Page, PageRequest, RunStatus } from '../../index';
import type { Context } from './context';
import { errorText } from './error-text';
import { ago, masked, type Row } from './print';

const PAGE = 1000;

/** Prints the newest runs; `workflow` is the stored name of a workflow, or its short name. */
export async function runs(
  { world, print, location }: Context,
  { status, workflow, limit }: { status?: RunStatus; workflow?: string; limit: number },
): Promise<undefined> {
  const read = world('reader');
  // The database knows the stored name, and can look for nothing else.
  const isShort = workflow !== undefined && parseWorkflowName(workflow) === null;
  const workflowName = isShort ? undefined : workflow;
  const found = await upTo(
    limit,
    (page) => read.runs.list({ status, workflowName, resolveData: 'none', ...page }),
    isShort ? (run) => shortName(run.workflowName) === workflow : undefined,
  );
  const errors = await Promise.all(found.map((run) => errorText(read, run, run)));
  print.answer(found, () => {
    const rows: Row[] = found.map((run, at) => ({
      run: run.runId,
      workflow: shortName(run.workflowName),
      status: run.status,
      created: ago(run.createdAt),
      ended: ago(run.completedAt),
      error: firstLine(errors[at]),
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

/** The name of a workflow as the SDK's own tools show it: that of its function. */
export function shortName(workflowName: string): string {
  return parseWorkflowName(workflowName)?.shortName ?? workflowName;
}

/** Reads up to `limit` items of a list, of those that are wanted. */
export async function upTo<T>(
  limit: number,
  list: (page: PageRequest) => Promise<Page<T>>,
  isWanted?: (item: T) => boolean,
): Promise<T[]> {
  const all: T[] = [];
  let cursor: string | undefined;
  while (all.length < limit) {
    const size = isWanted ? PAGE : Math.min(PAGE, limit - all.length);
    const page = await list({ pagination: { limit: size, cursor } });
    all.push(...(isWanted ? page.data.filter(isWanted) : page.data));
    if (!page.hasMore || page.cursor === null) break;
    cursor = page.cursor;
  }
  return all.slice(0, limit);
}

/** The first line of a text, short enough for a column. */
export function firstLine(text: string | undefined): string {
  const line = (text ?? '').split('\n', 1)[0] ?? '';
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}
