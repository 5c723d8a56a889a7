/**
 * `hookline explain <run>`: what a run waits for, since when, what wakes it next, its last error.
 */
import type { Step, WorkflowRun, World } from '../../index';
import { duration } from '../engine/duration';
import type { Engine } from '../engine/engine';
import { lineOfSpec } from '../lines/table';
import { type Stall, sentenceOf } from '../world/pulse';
import { adviceOn, type Deserted, needOf, readDeserted } from '../world/releases';
import { readDeliveries } from '../world/workers';
import { engineOf } from '../world/world';
import type { Context } from './context';
import { errorText } from './error-text';
import { upTo } from './lists';
import { type QueuedMessage, readOutlook } from './outlook';
import { bad, bold, dim, masked, type Printer, printable, when } from './print';

/** The most steps and hooks to read: a run has few open ones. */
const LOOKED_AT_MAX = 10_000;

/** One thing that a run waits for. */
interface Reason {
  kind: 'hook' | 'step' | 'sleep';
  id: string;
  what: string;
  since: Date;
  /** When the wait ends by itself. */
  until?: Date;
}

/** The next thing that makes the run continue. */
interface Next {
  what: string;
  at?: Date;
}

interface Explanation {
  runId: string;
  workflowName: string;
  status: string;
  createdAt: Date;
  startedAt?: Date;
  completedAt?: Date;
  /** The release and the line of the SDK whose processes continue it. */
  needs: { release: string; line: number; hasProcess: boolean };
  waitingFor: Reason[];
  next: Next[];
  lastError?: { of: string; message: string };
}

/** Explains a run. */
export async function explain(
  { world, print }: Context,
  { runId, tokens }: { runId: string; tokens?: boolean },
): Promise<undefined> {
  const explanation = await explanationOf(world('reader'), runId, tokens === true);
  print.answer(explanation, () => show(print, explanation));
}

async function explanationOf(world: World, runId: string, tokens: boolean): Promise<Explanation> {
  const run = await world.runs.get(runId, { resolveData: 'none' });
  const steps = await upTo(LOOKED_AT_MAX, (page) =>
    world.steps.list({ runId, resolveData: 'none', ...page }),
  );
  const hooks = await upTo(LOOKED_AT_MAX, (page) => world.hooks.list({ runId, ...page }));
  const { waits, messages, demand } = await readOutlook(world, runId);
  const engine = engineOf(world) as Engine;
  const { stall } = await readDeliveries(engine);
  const deserted = (await readDeserted(engine)).find(
    ({ deploymentId, specVersion }) =>
      deploymentId === demand.deploymentId && specVersion === demand.specVersion,
  );
  // What is parked for other processes does not concern this run.
  const stallOfRun = deserted ? awayOf(deserted) : stall?.cause === 'parked' ? undefined : stall;
  const ended = run.completedAt !== undefined;
  const open = steps.filter((step) => step.status === 'pending' || step.status === 'running');
  const waitingFor: Reason[] = [
    ...open.map((step) => stepReason(step as Step)),
    ...hooks.map((hook) => ({
      kind: 'hook' as const,
      id: hook.hookId,
      what: `a payload for the token ${tokens ? hook.token : masked(hook.token)}`,
      since: hook.createdAt,
    })),
    ...waits.map((wait) => ({
      kind: 'sleep' as const,
      id: wait.correlationId,
      what: `${duration(wait.resumeAtMs - wait.createdAtMs)} to pass`,
      since: new Date(wait.createdAtMs),
      until: new Date(wait.resumeAtMs),
    })),
  ].sort((a, b) => a.since.getTime() - b.since.getTime());
  return {
    runId,
    workflowName: run.workflowName,
    status: run.status,
    createdAt: run.createdAt,
    startedAt: run.startedAt,
    completedAt: run.completedAt,
    needs: {
      release: demand.deploymentId,
      line: lineOfSpec(demand.specVersion).major,
      hasProcess: deserted === undefined,
    },
    waitingFor: ended ? [] : waitingFor,
    next: ended ? [] : nextOf(messages, hooks.length, stallOfRun),
    lastError: await lastError(world, run, steps as Step[], messages),
  };
}

/** The stall of the messages of a run that no living process can continue. */
function awayOf(deserted: Deserted): Stall {
  const need = needOf(deserted.deploymentId, deserted.specVersion);
  const found = `no process of ${need} lives`;
  return { cause: 'parked', found, fix: adviceOn(deserted) };
}

function stepReason(step: Step): Reason {
  const attempt = step.attempt > 0 ? `, attempt ${step.attempt}` : '';
  const since = step.startedAt ?? step.createdAt;
  const reason = { kind: 'step' as const, id: step.stepId, since, until: step.retryAfter };
  return { ...reason, what: `${step.stepName} to end (${step.status}${attempt})` };
}

function nextOf(messages: QueuedMessage[], hooks: number, stall: Stall | undefined): Next[] {
  const next = messages.map((message) => nextOfMessage(message, stall));
  if (hooks > 0) next.push({ what: 'resumeHook() for one of its tokens' });
  if (next.length > 0) return next;
  const found = 'nothing is queued for it; a worker looks for such runs when it starts';
  return [{ what: `${found}, so start the app, or restart it` }];
}

function nextOfMessage(message: QueuedMessage, stall: Stall | undefined): Next {
  const { messageId, stepId, availableAtMs, leaseExpiresAtMs, attempt } = message;
  const { deadAtMs, heldAtMs } = message;
  const name = `${stepId === null ? 'a replay' : 'a step'} (${messageId})`;
  if (deadAtMs !== null) {
    const redrive = `given up after ${attempt} attempts; hookline redrive ${messageId} tries again`;
    return { what: `${name}: ${redrive}`, at: new Date(deadAtMs) };
  }
  const isLeased = leaseExpiresAtMs !== null;
  const isDue = !isLeased && availableAtMs <= Date.now();
  const because = stall && concerns(stall, message, { isDue, isLeased });
  const why = because ? ` (${sentenceOf(stall)})` : '';
  if (heldAtMs !== null) {
    const again = `a worker that starts tries again, and so does hookline redrive ${messageId}`;
    return { what: `${name}: held${why}; ${again}`, at: new Date(heldAtMs) };
  }
  if (isLeased) return { what: `${name}: being delivered, attempt ${attempt}${why}` };
  const what = isDue ? 'due, waits for a worker' : 'will be delivered';
  return { what: `${name}: ${what}${why}`, at: new Date(availableAtMs) };
}

/** Whether a stall of the database concerns this message, too. */
function concerns(
  { cause }: Stall,
  { lastError, heldAtMs }: QueuedMessage,
  { isDue, isLeased }: { isDue: boolean; isLeased: boolean },
): boolean {
  if (cause === 'parked') return heldAtMs === null && !isLeased;
  if (cause === 'held' || heldAtMs !== null) return cause === 'held' && heldAtMs !== null;
  if (cause === 'refused') return lastError !== null;
  return isDue || (isLeased && (cause === 'noWorker' || cause === 'paused'));
}

type Failing = { error?: unknown; errorCode?: string };

async function lastError(
  world: World,
  run: Failing & Pick<WorkflowRun, 'runId' | 'specVersion'>,
  steps: (Step & Failing)[],
  messages: QueuedMessage[],
): Promise<Explanation['lastError']> {
  const ofRun = await errorText(world, run, run);
  if (ofRun !== undefined) return { of: 'the run', message: ofRun };
  const failed = steps
    .filter((step) => step.error)
    .sort((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime())[0];
  const ofStep = failed && (await errorText(world, run, failed));
  if (failed && ofStep !== undefined) return { of: `step ${failed.stepName}`, message: ofStep };
  const undelivered = messages.find((message) => message.lastError !== null);
  const message = undelivered?.lastError;
  return message ? { of: `the delivery of ${undelivered.messageId}`, message } : undefined;
}

function show(print: Printer, explanation: Explanation): void {
  const { runId, workflowName, status, waitingFor, next, lastError: error } = explanation;
  print.line(`${bold(runId)} ${printable(workflowName)}`);
  const { createdAt, startedAt, completedAt } = explanation;
  print.line(`${bold(status)}, created ${when(createdAt)}`);
  if (startedAt) print.line(`started ${when(startedAt)}`);
  if (completedAt) print.line(`ended ${when(completedAt)}`);
  const { release, line } = explanation.needs;
  if (!completedAt) print.line(`continued by processes of release ${release}, line ${line}`);
  if (!completedAt) {
    print.line(`\n${bold('Waits for')}`);
    if (waitingFor.length === 0) print.line('  its next replay');
    for (const { kind, id, what, since, until } of waitingFor) {
      print.line(`  ${kind} ${dim(printable(id))}: ${printable(what)}`);
      print.line(`    since ${when(since)}${until ? `, until ${when(until)}` : ''}`);
    }
    print.line(`\n${bold('Woken next by')}`);
    for (const { what, at } of next) {
      print.line(`  ${printable(what)}${at ? `, ${when(at)}` : ''}`);
    }
  }
  if (!error) return;
  print.line(`\n${bold('Last error')} of ${printable(error.of)}`);
  print.line(`  ${bad(printable(error.message))}`);
}
