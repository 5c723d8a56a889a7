/** `hookline init`: sets an app up, after it has shown how. */
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { version } from '../../package.json';
import type { App, Change, Plan } from '../init/index';
import { DEFAULT_LINE, LINES } from '../lines/table';
import { appIn } from './app-folder';
import { isWanted } from './asking';
import { CommandError, type Context, EXIT } from './context';
import { type Install, installsFor } from './install';
import { bad, bold, dim, good, type Printer, printable, warn } from './print';

/** The supported lines of the SDK, first the one that a new app gets. */
const SDK_LINES = [...new Set([DEFAULT_LINE, ...LINES].map(({ major }) => major))];

const ADVICE = 'Pass --yes to make the changes, or --dry-run.';

/** The options of `init`. */
export interface InitOptions {
  /** Do not ask. */
  yes?: boolean;
  /** Only show. */
  dryRun?: boolean;
}

/** Sets the app in the working directory up; exit code 4 when something is left to write by hand. */
export async function init({ print }: Context, options: InitOptions): Promise<number> {
  const folder = process.cwd();
  const app = appIn(folder);
  const { NoAppError, patchOf, planFor } = await import('../init/index');
  let plan: Plan;
  try {
    plan = planFor(app, version, SDK_LINES);
  } catch (error) {
    if (!(error instanceof NoAppError)) throw error;
    const message = `${error.message}: ${folder}. Run this in the folder of the app.`;
    throw new CommandError(message, EXIT.notFound);
  }
  const installs = await installsFor(folder, plan);
  if (!print.json) show(print, plan, installs, patchOf);
  const isDone = plan.changes.length === 0 && installs.length === 0;
  const changed =
    !isDone &&
    !options.dryRun &&
    (options.yes || (await isWanted(print, 'Make these changes?', ADVICE)));
  if (changed) {
    await write(folder, app, plan.changes);
    for (const install of installs) await install.run(print);
  }
  const { framework, byHand, notes } = plan;
  const changes = plan.changes.map((it) => ({ path: it.path, patch: shownPatch(it, patchOf) }));
  const commands = installs.map(({ text }) => text);
  print.answer({ framework, changed, changes, commands, byHand, notes }, () => {
    if (changed) print.line(`\n${good('Done.')}`);
    else print.line(isDone ? `\n${framework}: nothing to do.` : '\nNothing was changed.');
    if (byHand.length > 0) print.line('What is left to write by hand is above.');
  });
  return byHand.length > 0 ? EXIT.problems : EXIT.done;
}

type PatchOf = typeof import('../init/index').patchOf;

function show(print: Printer, plan: Plan, installs: Install[], patchOf: PatchOf): void {
  print.line(`${bold(plan.framework)} in ${process.cwd()}`);
  for (const change of plan.changes) {
    print.line();
    print.line(bold(`${change.before === undefined ? 'new' : 'change'} ${change.path}`));
    for (const line of shownPatch(change, patchOf).split('\n')) print.line(colored(line));
  }
  if (installs.length > 0) print.line();
  for (const { text } of installs) print.line(`${bold('run')} ${text}`);
  for (const { path, why, code } of plan.byHand) {
    print.line();
    print.line(`${bold(warn('by hand'))} ${path}: ${printable(why)}. Write there:`);
    print.line();
    print.line(code.trimEnd().replace(/^(?=.)/gm, '  '));
  }
  for (const note of plan.notes) print.line(`\n${warn('note')} ${note}`);
}

/** The changed lines of a file and those around them; a file of variables may hold secrets there. */
function shownPatch({ path, before, after }: Change, patchOf: PatchOf): string {
  const context = basename(path).startsWith('.env') ? 0 : 2;
  const patch = patchOf(path, path, before ?? '', after, undefined, undefined, { context });
  return patch.split('\n').slice(4).join('\n').trimEnd();
}

function colored(line: string): string {
  const text = printable(line);
  if (line.startsWith('+')) return good(text);
  if (line.startsWith('-')) return bad(text);
  return line.startsWith('@@') ? dim(text) : text;
}

async function write(folder: string, app: App, changes: Change[]): Promise<void> {
  for (const { path, before } of changes) {
    if (app.read(path) === before) continue;
    const message = `${path} was changed in the meantime. Nothing was written; run the command again.`;
    throw new CommandError(message, EXIT.failed);
  }
  for (const { path, after } of changes) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), after);
  }
}
