/** The releases on a database: the processes of each, and what still needs it. */
import { deploymentId, NO_RELEASE, ownRelease } from '../engine/config';
import { deliversAdopted, runOf } from '../engine/delivery';
import type { Engine } from '../engine/engine';
import { lineOfSpec } from '../lines/table';
import { pointRead, settled } from '../native/binding';
import { WorkflowWorldError } from '../native/errors';
import { presentLine } from '../setup/installed-sdk';

/** A release, or another deployment id of runs; `src/binding/releases.rs` makes it. */
export interface NativeRelease {
  deploymentId: string;
  /** When a process had it first; `null` for an id that is no release. */
  firstSeenMs: number | null;
  /** Since when it is gone, as a person has said. */
  goneAtMs: number | null;
  /** Its living processes. */
  processes: {
    host?: string;
    pid?: number;
    specVersions: [oldest: number, newest: number] | null;
  }[];
  /** How many runs have a message that is due or being delivered. */
  activeRuns: number;
  messages: { due: number; sleeping: number; leased: number };
  /** The runs that have not ended, by workflow and spec version. */
  needs: Need[];
}

/** Runs that have not ended, of one workflow and one spec version. */
export interface Need {
  workflowName: string;
  specVersion: number;
  runs: number;
  firstRunId: string;
  /** Whether a living process can continue them, as far as is known. */
  hasProcess: boolean;
}

/** Reads the releases, the oldest first. */
export async function readReleases(engine: Engine): Promise<NativeRelease[]> {
  const native = await engine.look();
  return (await settled<NativeRelease[]>(native.releases())).json;
}

/**
 * The newest release that has a living process of the SDK's line here: such a process can run what
 * this process starts. Without one, the release of this process.
 */
export async function latestRelease(engine: Engine): Promise<string> {
  const { specVersion } = presentLine();
  const runs = ({ processes }: NativeRelease) =>
    processes.some(({ specVersions }) => {
      const [oldest, newest] = specVersions ?? [specVersion, specVersion];
      return oldest <= specVersion && specVersion <= newest;
    });
  const known = (await readReleases(engine)).filter(
    ({ firstSeenMs, goneAtMs }) => firstSeenMs !== null && goneAtMs === null,
  );
  return known.filter(runs).at(-1)?.deploymentId ?? deploymentId();
}

/**
 * Notes whether the run of the delivery in which this is called is an adopted one. The runtime of line 5
 * refuses to run what another deployment id has started; the run must keep that id, because the ids of
 * its steps are drawn from it. So in such a delivery the World says of no release. A run that its
 * creator did not live to create is still in the message that starts it.
 */
export async function noteAdoption(engine: Engine, message: unknown): Promise<void> {
  const own = ownRelease();
  const runId = runOf(message);
  if (own === undefined || typeof runId !== 'string') return;
  const native = await engine.connect();
  let startedBy: string | undefined;
  try {
    type Found = { run: { deploymentId: string } };
    const { json } = await pointRead<Found>(native.runForResume(runId));
    startedBy = json.run.deploymentId;
  } catch {
    // Any fault but that there is no such run the handler finds itself.
    startedBy = (message as Starting).runInput?.deploymentId;
  }
  if (startedBy !== undefined && startedBy !== own) deliversAdopted(own);
}

/** A message that starts its run. */
interface Starting {
  runInput?: { deploymentId?: string };
}

/** Whether an error says that the release which was to get a message is gone. */
export function isReleaseGone(error: unknown): boolean {
  return WorkflowWorldError.is(error) && error.code === 'RELEASE_GONE';
}

/** Runs that no living process can continue, while other processes live. */
export interface Deserted {
  deploymentId: string;
  specVersion: number;
  runs: number;
}

/** Finds such runs. Where no process lives at all, the app is off, and nothing is said of it. */
export async function readDeserted(engine: Engine): Promise<Deserted[]> {
  // It is only a part of what a person asks for. In a damaged database the other parts may say more.
  const releases = await readReleases(engine).catch(() => []);
  if (releases.every(({ processes }) => processes.length === 0)) return [];
  const found = new Map<string, Deserted>();
  for (const { deploymentId, needs } of releases) {
    for (const { specVersion, runs, hasProcess } of needs) {
      if (hasProcess) continue;
      const need = needOf(deploymentId, specVersion);
      const known = found.get(need) ?? { deploymentId, specVersion, runs: 0 };
      found.set(need, { ...known, runs: known.runs + runs });
    }
  }
  return [...found.values()];
}

/** What to do about such runs. */
export function adviceOn({ deploymentId, specVersion }: Deserted): string {
  const { major } = lineOfSpec(specVersion);
  const waits = 'a resume of such a run is accepted, and waits';
  const start =
    deploymentId === NO_RELEASE
      ? `Start a process with workflow ${major}.x`
      : `Start release ${deploymentId} with workflow ${major}.x`;
  return `${start}; until then nothing of them is lost, and ${waits}. hookline adopt gives them to another release whose code fits, hookline cancel --release ${deploymentId} ends them.`;
}

/** What runs need of a process, for people: their release and their line of the SDK. */
export function needOf(deploymentId: string, specVersion: number): string {
  const line = specVersion > 0 && `line ${lineOfSpec(specVersion).major} of the SDK`;
  const release = deploymentId !== NO_RELEASE && deploymentId && `release ${deploymentId}`;
  return [release, line].filter(Boolean).join(' on ') || 'any release';
}
