/**
 * Imports the runs of another World, run by run, each in one transaction and with its streams.
 *
 * It only compares a run that is already here. So you continue an interrupted import by running it
 * again.
 */
import type { Event, World } from '../../index';
import type { Engine } from '../engine/engine';
import { settled } from '../native/binding';
import { encodeEvent, encodeEvents } from '../native/requests';
import { everything } from '../world/pages';
import { engineOf } from '../world/world';
import { canonical, digestOf } from './digest';
import { type SourceStreams, streamsOf } from './source';

const PAGE = 1000;
const CHUNKS = 100;
/** Runs that are imported at once, so that they share commits. */
const AT_ONCE = 8;

/** The result of an import. */
export interface ImportReport {
  runs: { total: number; imported: number; already: number; failed: number };
  events: number;
  streams: number;
  chunks: number;
  failures: { runId: string; reason: string }[];
}

/** Imports all runs; calls `progress` after each run. */
export async function importWorld(
  source: World,
  target: World,
  progress: { begin(total: number): void; advance(): void },
): Promise<ImportReport> {
  const runs = await everything((page) => source.runs.list({ resolveData: 'none', ...page }));
  const report: ImportReport = {
    runs: { total: runs.length, imported: 0, already: 0, failed: 0 },
    events: 0,
    streams: 0,
    chunks: 0,
    failures: [],
  };
  progress.begin(runs.length);
  // The oldest first, in the order in which they were made.
  const waiting = runs.map(({ runId }) => runId).sort();
  const work = async () => {
    for (let runId = waiting.shift(); runId !== undefined; runId = waiting.shift()) {
      try {
        await importRun(source, target, runId, report);
      } catch (error) {
        report.runs.failed += 1;
        report.failures.push({
          runId,
          reason: error instanceof Error ? error.message : String(error),
        });
      }
      progress.advance();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return report;
}

async function importRun(
  source: World,
  target: World,
  runId: string,
  report: ImportReport,
): Promise<void> {
  const events = await logOf(source, runId);
  if (await isHere(target, runId)) {
    await compareLogs(target, runId, events);
    report.runs.already += 1;
    return;
  }
  // The streams come first: they do not need their run, but the run may continue as soon as it is
  // here.
  await copyStreams(source, target, runId, report);
  const native = await (engineOf(target) as Engine).connect();
  const { request, bytes } = encodeLog(runId, events);
  await settled(native.importRun(request, bytes));
  await compareLogs(target, runId, events);
  await compareEntities(source, target, runId);
  report.runs.imported += 1;
  report.events += events.length;
}

/**
 * The log of a run in the order in which it happened; a second start of a running run is left out.
 */
async function logOf(world: World, runId: string): Promise<Event[]> {
  const events = await everything<Event>((page) => world.events.list({ runId, ...page }));
  let started = false;
  return events.filter(({ eventType }) => {
    if (eventType !== 'run_started') return true;
    const first = !started;
    started = true;
    return first;
  });
}

async function isHere(target: World, runId: string): Promise<boolean> {
  try {
    await target.runs.get(runId, { resolveData: 'none' });
    return true;
  } catch (error) {
    if ((error as Error).name === 'WorkflowRunNotFoundError') return false;
    throw error;
  }
}

/** Encodes a log for `NativeWorld.importRun`: payloads apart, in one block. */
function encodeLog(runId: string, events: Event[]): { request: string; bytes: Uint8Array } {
  const encoded = events.map((event) => {
    const { resumeId } = event as { resumeId?: string };
    return encodeEvent(runId, event as never, undefined, undefined, { resumeId });
  });
  const { list, bytes } = encodeEvents(encoded, (index) => [
    `"createdAtMs":${events[index]?.createdAt.getTime()}`,
  ]);
  return { request: `{"runId":${JSON.stringify(runId)},"events":${list}}`, bytes };
}

/**
 * A run that has continued here has a longer log, which begins with the imported events. An ended run
 * with retention 0 has lost its values here, whatever the source keeps.
 */
async function compareLogs(target: World, runId: string, events: Event[]): Promise<void> {
  const { expiredAt } = await target.runs.get(runId, { resolveData: 'none' });
  const [here, there] = [(await logOf(target, runId)).slice(0, events.length), events].map((log) =>
    digestOf(log, { withValues: expiredAt === undefined }),
  );
  if (here === there) return;
  throw new Error('its log in this database differs from the log of the source');
}

async function compareEntities(source: World, target: World, runId: string): Promise<void> {
  const [there, here] = await Promise.all([source, target].map((world) => entities(world, runId)));
  // Unless the run has ended, it may have continued already.
  const ended = !['pending', 'running'].includes(there?.status as string);
  if (!ended || canonical(there) === canonical(here)) return;
  throw new Error('its entities in this database differ from the entities of the source');
}

/** Times are left out: where two writers raced, other Worlds keep those of the second. */
async function entities(world: World, runId: string) {
  const { status, workflowName, deploymentId } = await world.runs.get(runId, {
    resolveData: 'none',
  });
  const steps = await everything((page) =>
    world.steps.list({ runId, resolveData: 'none', ...page }),
  );
  const compared = steps.map(({ stepId, stepName, status }) => ({ stepId, stepName, status }));
  compared.sort((a, b) => (a.stepId < b.stepId ? -1 : 1));
  return { status, workflowName, deploymentId, steps: compared };
}

async function copyStreams(
  source: World,
  target: World,
  runId: string,
  report: ImportReport,
): Promise<void> {
  const [from, to] = [streamsOf(source), target.streams];
  for (const name of await from.list(runId)) {
    const chunks = await chunksOf(from, runId, name);
    // An interrupted import may have written the first chunks.
    const { tailIndex, done } = await to.getInfo(runId, name);
    const missing = chunks.slice(tailIndex + 1);
    for (let at = 0; at < missing.length; at += CHUNKS) {
      await to.writeMulti(runId, name, missing.slice(at, at + CHUNKS));
    }
    const there = await from.getInfo(runId, name);
    if (there.done && !done) await to.close(runId, name);
    if (canonical(await chunksOf(to, runId, name)) !== canonical(chunks)) {
      throw new Error(
        `its stream "${name}" in this database differs from the stream of the source`,
      );
    }
    report.streams += 1;
    report.chunks += chunks.length;
  }
}

async function chunksOf(from: SourceStreams, runId: string, name: string): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let cursor: string | undefined;
  do {
    const page = await from.getChunks(runId, name, { limit: PAGE, cursor });
    chunks.push(...page.data.map(({ data }) => data));
    cursor = page.hasMore ? (page.cursor ?? undefined) : undefined;
  } while (cursor !== undefined);
  return chunks;
}
