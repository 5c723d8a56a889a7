/** `hookline doctor`: checks everything that an installation needs, and says how to repair it. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { engineKey, readConfig } from '../engine/config';
import type { Engine } from '../engine/engine';
import type { Place } from '../engine/place';
import { unknownVariables } from '../engine/variables';
import { createWorld } from '../index';
import { INSTALL_SDK, lineOfVersion, SUPPORTED_SDK } from '../lines/table';
import { loadBinding, type NativeWorld, settled } from '../native/binding';
import { isNodeSupported, NODE_ADVICE } from '../native/node-version';
import { installed, isSupported, missingSdk, unsupportedSdk } from '../setup/installed-sdk';
import { isHere, type LivingWorker, processOf, type Stall } from '../world/pulse';
import { adviceOn, type Deserted, needOf, readDeserted } from '../world/releases';
import { livingWorkers, type NativeStats, readDeliveries, troublesOf } from '../world/workers';
import { engineOf } from '../world/world';
import { app } from './app';
import { chosenWorld } from './chosen-world';
import { type Context, EXIT, type GlobalOptions, withoutSecrets } from './context';
import type { Finding } from './finding';
import { bad, bold, dim, good, printable, size, warn } from './print';
import { ofServer, type ServerExamination } from './server';

/** The length that a log keeps when nobody holds it. A longer one deserves a warning. */
const KEPT_LOG_BYTES = 64 * 1024 * 1024;

/** Runs all checks; exit code 4 when there is a problem. */
export async function doctor({ print }: Context, options: GlobalOptions): Promise<number> {
  const nodeItself = node();
  if (nodeItself.state === 'problem') return report(print, [nodeItself]);
  const native = addon();
  // Without the addon the database cannot be checked.
  const { findings, living } =
    native.state === 'good' ? await database(options) : { findings: [], living: [] };
  const chosen = chosenWorld(living.length > 0);
  // What the app answers may be the reason why nothing is delivered.
  const isSaid = ({ found }: Finding) => findings.some((it) => it.found.includes(found));
  // The address of an app on another host may mean another program here.
  const apps = (await app(living.filter(({ host }) => isHere(host)))).filter(
    (finding) => !isSaid(finding),
  );
  return report(print, [
    nodeItself,
    native,
    ...variables(),
    ...findings,
    ...sdk(),
    chosen,
    ...apps,
  ]);
}

function report(print: Context['print'], findings: Finding[]): number {
  const problems = findings.filter(({ state }) => state === 'problem').length;
  print.answer({ problems, findings }, () => {
    for (const { what, state, found, fix } of findings) {
      const mark = { good: good('✓'), warning: warn('!'), problem: bad('✗') }[state];
      print.line(`${mark} ${bold(what)} ${found}`);
      if (fix) print.line(`    ${dim('→')} ${fix}`);
    }
    print.line(problems === 0 ? `\n${good('No problems.')}` : `\n${bad(`${problems} to repair.`)}`);
  });
  return problems === 0 ? EXIT.done : EXIT.problems;
}

function node(): Finding {
  const what = 'Node';
  const { node: found } = process.versions;
  if (isNodeSupported()) return { what, state: 'good', found };
  return { what, state: 'problem', found, fix: NODE_ADVICE };
}

function addon(): Finding {
  const what = 'Native addon';
  try {
    return { what, state: 'good', found: loadBinding().addonVersion() };
  } catch (error) {
    // The error says what to do, by platform.
    return { what, state: 'problem', found: messageOf(error) };
  }
}

function variables(): Finding[] {
  return unknownVariables().map((found) => ({ what: 'Variables', state: 'warning', found }));
}

interface Looked {
  findings: Finding[];
  living: LivingWorker[];
}

async function database({ url }: GlobalOptions): Promise<Looked> {
  const path = engineKey(readConfig({ url }));
  const what = 'Database';
  if (path.startsWith(':memory:')) {
    const fix = 'Set WORKFLOW_HOOKLINE_URL to a file to keep runs when the process ends.';
    const found = 'in memory of each process';
    return { findings: [{ what, state: 'warning', found, fix }], living: [] };
  }
  const name = withoutSecrets(path);
  const isFile = !path.includes('://');
  const world = createWorld({ url, role: 'reader' });
  const engine = engineOf(world) as Engine;
  const findings: Finding[] = [];
  let living: LivingWorker[] = [];
  try {
    findings.push(...placed(engine.place()));
    if (engine.isAbsent()) return { findings: [missingDatabase(path), ...findings], living };
    if (isFile) {
      findings.unshift(...[permissions(path)].filter((finding) => finding !== undefined));
    }
    findings.unshift(...(await examination(await engine.connect(), name)));
    const delivered = await delivery(engine);
    findings.push(...delivered.findings);
    living = delivered.living;
  } catch (error) {
    findings.unshift({ what, state: 'problem', found: messageOf(error) });
  } finally {
    await world.close();
  }
  return { findings, living };
}

/** Whether anything delivers; in a damaged database the workers may say more than the queue. */
async function delivery(engine: Engine): Promise<Looked> {
  const native = await engine.look();
  const seen = await livingWorkers(native).catch((error) => messageOf(error));
  const living = typeof seen === 'string' ? [] : seen;
  try {
    const { stats, stall } = await readDeliveries(engine);
    const without = await readDeserted(engine);
    const findings = [
      queue(stats),
      ...stalled(stall),
      ...workers(seen, stall),
      ...deserted(without),
      ...longLog(stats),
    ];
    return { findings, living };
  } catch (error) {
    const broken: Finding = { what: 'Queue', state: 'problem', found: messageOf(error) };
    return { findings: [broken, ...workers(seen)], living };
  }
}

/** Why messages wait that should be delivered. */
function stalled(stall: Stall | undefined): Finding[] {
  if (!stall) return [];
  const { found, fix } = stall;
  return [{ what: 'Deliveries', state: 'problem', found: printable(found), fix }];
}

/** A bad place of the database. */
function placed(place: Place | undefined): Finding[] {
  const what = 'Place';
  if (place?.refusal) return [{ what, state: 'problem', found: place.refusal }];
  if (!place?.warning) return [];
  const { found, advice } = place.warning;
  return [{ what, state: 'warning', found, fix: advice }];
}

interface FileExamination {
  kind: 'sqlite';
  version: string;
  schemaVersion: number;
  journalMode: string;
  bytes: number;
  freeBytes: number;
  damages: string[];
}

async function examination(native: NativeWorld, name: string): Promise<Finding[]> {
  try {
    const { json } = await settled<FileExamination | ServerExamination>(native.examine());
    return json.kind === 'sqlite'
      ? [examined(name, json)]
      : ofServer(name, json, readConfig({}).listenUrl);
  } catch (error) {
    // The damage may be so bad that the database cannot even be examined.
    return [{ what: 'Database', state: 'problem', found: messageOf(error) }];
  }
}

function examined(path: string, examination: FileExamination): Finding {
  const { version, schemaVersion, bytes, freeBytes, damages } = examination;
  const what = 'Database';
  if (damages.length > 0) {
    const fix = 'Restore a backup; keep the damaged file and its -wal file for a rescue.';
    return { what, state: 'problem', found: `${path} is damaged: ${damages.join('; ')}`, fix };
  }
  const free =
    freeBytes > bytes / 2 && freeBytes > 64 * 1024 * 1024 ? `, ${size(freeBytes)} free` : '';
  const found = `${path}, ${size(bytes)}${free}, sound; schema ${schemaVersion}, SQLite ${version}`;
  return { what, state: 'good', found };
}

/** The messages, and those that were given up. */
function queue({ messages }: NativeStats): Finding {
  const what = 'Queue';
  if (messages.dead > 0) {
    const fix = 'See them with hookline dead, repair the cause, then hookline redrive --all.';
    return { what, state: 'problem', found: `${messages.dead} messages were given up`, fix };
  }
  const found = `${messages.due} due, ${messages.leased} being delivered, ${messages.sleeping} asleep`;
  return { what, state: 'good', found };
}

/** Runs of a release or a line of the SDK without a living process. */
function deserted(without: Deserted[]): Finding[] {
  return without.map((it) => {
    const runs = it.runs === 1 ? '1 run needs' : `${it.runs} runs need`;
    const found = `${runs} ${needOf(it.deploymentId, it.specVersion)}, of which no process lives`;
    return { what: 'Releases', state: 'warning', found: printable(found), fix: adviceOn(it) };
  });
}

/** A long log, which a reader may keep from starting again at its beginning. */
function longLog({ log: { bytes, readBy } }: NativeStats): Finding[] {
  if (bytes <= KEPT_LOG_BYTES) return [];
  const found = `the write-ahead log has ${size(bytes)}`;
  const readers = readBy.filter((pid) => pid !== process.pid);
  const fix =
    readers.length > 0
      ? `One of the processes ${readers.join(', ')} has a long read: end its transaction.`
      : 'End the long read of the database: a report, a copy, a shell with an open transaction.';
  return [{ what: 'Log', state: 'warning', found, fix }];
}

/** The living workers, or why they cannot be seen; the stall may tell one's trouble already. */
function workers(living: LivingWorker[] | string, stall?: Stall): Finding[] {
  const what = 'Workers';
  if (typeof living === 'string') return [{ what, state: 'problem', found: living }];
  const troubles = living.flatMap(troublesOf).filter((trouble) => !stall?.found.includes(trouble));
  if (troubles.length > 0) {
    return troubles.map((trouble) => ({ what, state: 'problem', found: printable(trouble) }));
  }
  const names = living.map(processOf).join(', ');
  const found = living.length > 0 ? `${living.length} live: process ${names}` : NO_WORKER;
  return [{ what, state: 'good', found }];
}

/** The lock files of another user's processes cannot be seen. */
const NO_WORKER = 'none lives, as far as this user can see';

function missingDatabase(path: string): Finding {
  let folder = dirname(path);
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  const found = `${path} is not there yet`;
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    const fix = `Let this user write in ${folder}, or set WORKFLOW_HOOKLINE_URL to another place.`;
    return {
      what: 'Database',
      state: 'problem',
      found: `${found}, and this user cannot make it`,
      fix,
    };
  }
  const fix =
    'The app makes it at its first use. If the app runs already, it uses another path: ' +
    'the default is relative to its working directory.';
  return { what: 'Database', state: 'warning', found, fix };
}

function permissions(path: string): Finding | undefined {
  const what = 'Permissions';
  const owners = `${path}-owners`;
  for (const [place, name] of [
    [path, 'the file'],
    [dirname(path), 'its folder, where SQLite keeps its log'],
    [owners, 'the folder of lock files, without which nothing is delivered'],
  ] as const) {
    // The first worker makes the folder.
    if (place === owners && !existsSync(owners)) continue;
    try {
      accessSync(place, constants.R_OK | constants.W_OK);
    } catch {
      const fix = `Let the user of the app own it: chown, chmod u+rw ${place}`;
      return { what, state: 'problem', found: `this user may not write ${name}`, fix };
    }
  }
  if (process.platform === 'win32') return undefined;
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) === 0) return { what, state: 'good', found: 'only its owner may read it' };
  const found = `others than its owner may read it (mode ${mode.toString(8)})`;
  return { what, state: 'warning', found, fix: `It holds tokens and payloads: chmod 600 ${path}` };
}

function sdk(): Finding[] {
  const what = 'Workflow SDK';
  const eve = installed('eve');
  if (eve && !installed('workflow')) {
    return [{ what, state: 'good', found: `that of eve ${eve.version}` }];
  }
  const problem = missingSdk() ?? unsupportedSdk();
  if (problem) return [{ what, state: 'problem', ...problem }];
  const { version = '', folder } = installed('workflow') ?? {};
  const line = lineOfVersion(version);
  if (line) return [{ what, state: 'good', found: `${version}, line ${line.major}` }];
  // A folder of a workspace has no version.
  if (isSupported(version)) return [{ what, state: 'good', found: version }];
  const found = `workflow ${version} in ${folder} may be another app's; hookline works with ${SUPPORTED_SDK}`;
  const fix = `If it is what this app imports: ${INSTALL_SDK}`;
  return [{ what, state: 'warning', found, fix }];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
