/** `hookline releases`, `hookline adopt`, `hookline gone` and `hookline cancel --release`. */
import type { World } from '../../index';
import type { Engine } from '../engine/engine';
import { lineOfSpec } from '../lines/table';
import { settled } from '../native/binding';
import { processOf } from '../world/pulse';
import { type NativeRelease, type Need, readReleases } from '../world/releases';
import { engineOf } from '../world/world';
import { isWanted } from './asking';
import { CommandError, type Context, EXIT } from './context';
import { shortName } from './lists';
import { ago, counted } from './print';

const engine = (world: World) => engineOf(world) as Engine;

/** Prints each release with its processes, and what still needs it. */
export async function releases({ world, print, location }: Context): Promise<undefined> {
  const found = (await readReleases(engine(world('reader')))).map(shown);
  print.answer(found, () => {
    const rows = found.map((it) => ({
      release: it.isRelease ? it.release : `${it.release} (no release)`,
      'first seen': it.firstSeenAt ? ago(it.firstSeenAt) : '',
      processes: it.processes.length > 0 ? it.processes.join(', ') : it.goneAt ? 'gone' : 'none',
      running: String(it.runs.running),
      parked: String(it.runs.parked),
      'needed by': it.neededBy.map(neededBy).join(', '),
    }));
    print.table(rows, `No process has delivered from ${location} yet, and no run waits.`);
  });
}

function shown(it: NativeRelease) {
  const open = it.needs.reduce((sum, { runs }) => sum + runs, 0);
  const running = Math.min(open, it.activeRuns);
  return {
    release: it.deploymentId,
    /** Whether it is a release; else runs without one have this id. */
    isRelease: it.firstSeenMs !== null,
    firstSeenAt: it.firstSeenMs === null ? undefined : new Date(it.firstSeenMs),
    goneAt: it.goneAtMs === null ? undefined : new Date(it.goneAtMs),
    processes: it.processes.map(processOf),
    /** Running ones have a message that is due or being delivered. */
    runs: { running, parked: open - running },
    messages: it.messages,
    neededBy: it.needs.map(({ workflowName, specVersion, ...need }) => ({
      workflow: workflowName,
      line: lineOfSpec(specVersion).major,
      ...need,
    })),
  };
}

type NeededBy = Omit<Need, 'workflowName' | 'specVersion'> & { workflow: string; line: number };

function neededBy({ workflow, line, runs, hasProcess }: NeededBy): string {
  const what = `${runs} ${shortName(workflow)} (line ${line})`;
  return hasProcess ? what : `${what}, which no process takes`;
}

/** Gives the runs of a release to another one. */
export async function adopt(
  { world, print }: Context,
  { from, to, yes }: { from: string; to: string; yes?: boolean },
): Promise<undefined> {
  const producer = engine(world('producer'));
  const all = await readReleases(producer);
  const runs = openRuns(all, from);
  if (!yes) {
    const lines = linesOf(all, from);
    print.line(
      `To release ${to}, with the waiting messages: ${counted(runs, 'run')} of release ${from} (${lines}).`,
    );
    print.line(
      `The code of ${to} must fit them, and its processes must have the same line of the SDK: docs/releases.md says which changes a waiting run survives. A run that does not fit is held.`,
    );
    const wanted = await isWanted(print, `Give them to ${to}?`, 'Pass --yes to adopt the runs.');
    if (!wanted) return print.line('Nothing was changed.') as undefined;
  }
  const native = await producer.connect();
  const adopted = (await settled<{ runs: number }>(native.adopt(from, to))).json;
  print.answer({ from, to, ...adopted }, () =>
    print.line(`Release ${to} has got ${counted(adopted.runs, 'run')} of release ${from}.`),
  );
}

/** Takes the operator's word that a release is gone. */
export async function gone(
  { world, print }: Context,
  { release }: { release: string },
): Promise<undefined> {
  const producer = engine(world('producer'));
  const all = await readReleases(producer);
  const alive = all.find((it) => it.deploymentId === release)?.processes ?? [];
  if (alive.length > 0) {
    const pids = alive.map(processOf).join(', ');
    const message = `Release ${release} is not gone: process ${pids} is of it. Stop it first.`;
    throw new CommandError(message, EXIT.failed);
  }
  const native = await producer.connect();
  await settled(native.releaseGone(release));
  const runs = openRuns(all, release);
  print.answer({ release, runs }, () => {
    print.line(`Release ${release} is gone: whatever is sent to it is refused from now on.`);
    if (runs === 0) return;
    print.line(
      `Still needed by ${counted(runs, 'run')}: hookline adopt --from ${release} --to <release> gives what needs it to another one, hookline cancel --release ${release} ends it.`,
    );
  });
}

/** Cancels all runs of a release that have not ended. */
export async function cancelRelease(
  { world, print }: Context,
  { release, yes }: { release: string; yes?: boolean },
): Promise<undefined> {
  const producer = engine(world('producer'));
  if (!yes) {
    const runs = openRuns(await readReleases(producer), release);
    print.line(`Not ended: ${counted(runs, 'run')} of release ${release}.`);
    const wanted = await isWanted(print, 'Cancel them?', 'Pass --yes to cancel the runs.');
    if (!wanted) return print.line('Nothing was changed.') as undefined;
  }
  const native = await producer.connect();
  const cancelled = (await settled<{ runs: number }>(native.cancelRelease(release))).json;
  print.answer({ release, ...cancelled }, () =>
    print.line(`Cancelled ${counted(cancelled.runs, 'run')} of release ${release}.`),
  );
}

function needsOf(all: NativeRelease[], deploymentId: string): Need[] {
  return all.find((it) => it.deploymentId === deploymentId)?.needs ?? [];
}

function openRuns(all: NativeRelease[], deploymentId: string): number {
  return needsOf(all, deploymentId).reduce((sum, { runs }) => sum + runs, 0);
}

function linesOf(all: NativeRelease[], deploymentId: string): string {
  const lines = needsOf(all, deploymentId).map(({ specVersion }) => lineOfSpec(specVersion).major);
  return [...new Set(lines)].map((line) => `line ${line}`).join(', ') || 'no line';
}
