/** `hookline doctor`: checks everything that an installation needs, and says how to repair it. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { World, WorldStats } from '../../index';
import { appUrl, engineKey, readConfig } from '../engine/config';
import type { Engine } from '../engine/engine';
import type { Place } from '../engine/place';
import { unknownVariables } from '../engine/variables';
import { createWorld } from '../index';
import { loadBinding, type NativeWorld, settled } from '../native/binding';
import { isNodeSupported, NODE_ADVICE } from '../native/node-version';
import {
  installed,
  isSupported,
  missingSdk,
  SUPPORTED_SDK,
  unsupportedSdk,
} from '../setup/installed-sdk';
import { type LivingWorker, livingWorkers, troublesOf } from '../world/workers';
import { engineOf } from '../world/world';
import { type Context, EXIT, type GlobalOptions } from './context';
import { bad, bold, dim, duration, good, printable, size, warn } from './print';

/** If a message has been due for this long, nobody delivers it. */
const LATE_MS = 60_000;
/** A log of this size deserves a warning. */
const LONG_LOG_BYTES = 64 * 1024 * 1024;
/** The time limit for the app's answer. */
const APP_ANSWERS_WITHIN_MS = 2000;
/** The SDK's route for replays. */
const FLOW = '/.well-known/workflow/v1/flow';

/** The result of one check. */
export interface Finding {
  what: string;
  state: 'good' | 'warning' | 'problem';
  found: string;
  fix?: string;
}

/** Runs all checks; exit code 4 when there is a problem. */
export async function doctor({ print }: Context, options: GlobalOptions): Promise<number> {
  const nodeItself = node();
  if (nodeItself.state === 'problem') return report(print, [nodeItself]);
  const native = addon();
  // Without the addon the database cannot be checked.
  const looked = native.state === 'good' ? await database(options) : [];
  return report(print, [nodeItself, native, ...variables(), ...looked, ...sdk(), await app()]);
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

async function database({ url }: GlobalOptions): Promise<Finding[]> {
  const path = engineKey(readConfig({ url }));
  const what = 'Database';
  if (path.startsWith(':memory:')) {
    const fix = 'Set WORKFLOW_HOOKLINE_URL to a file to keep runs when the process ends.';
    return [{ what, state: 'warning', found: 'in memory of each process', fix }];
  }
  if (path.includes('://')) return [{ what, state: 'good', found: path.split('://', 1)[0] ?? '' }];
  const world = createWorld({ url, role: 'reader' });
  const engine = engineOf(world) as Engine;
  const findings: Finding[] = [];
  try {
    findings.push(...placed(engine.place()));
    if (engine.isAbsent()) return [missingDatabase(path), ...findings];
    findings.unshift(...[permissions(path)].filter((finding) => finding !== undefined));
    const native = await engine.connect();
    findings.unshift(await examination(native, path));
    findings.push(...(await delivery(world)));
  } catch (error) {
    findings.unshift({ what, state: 'problem', found: messageOf(error) });
  } finally {
    await world.close();
  }
  return findings;
}

/** Whether anything delivers; in a damaged database the workers may say more than the queue. */
async function delivery(world: World): Promise<Finding[]> {
  try {
    const stats = await world.stats();
    return [queue(stats), ...(await workers(world, stats.messages.due)), ...longLog(stats)];
  } catch (error) {
    const found = messageOf(error);
    return [{ what: 'Queue', state: 'problem', found }, ...(await workers(world, 0))];
  }
}

/** A bad place of the database. */
function placed(place: Place | undefined): Finding[] {
  const what = 'Place';
  if (place?.refusal) return [{ what, state: 'problem', found: place.refusal }];
  if (!place?.warning) return [];
  const { found, advice } = place.warning;
  return [{ what, state: 'warning', found, fix: advice }];
}

interface Examination {
  sqliteVersion: string;
  schemaVersion: number;
  journalMode: string;
  bytes: number;
  freeBytes: number;
  damages: string[];
}

async function examination(native: NativeWorld, path: string): Promise<Finding> {
  try {
    return examined(path, (await settled<Examination>(native.examine())).json);
  } catch (error) {
    // The damage may be so bad that the database cannot even be examined.
    return { what: 'Database', state: 'problem', found: messageOf(error) };
  }
}

function examined(path: string, examination: Examination): Finding {
  const { sqliteVersion, schemaVersion, bytes, freeBytes, damages } = examination;
  const what = 'Database';
  if (damages.length > 0) {
    const fix = 'Restore a backup; keep the damaged file and its -wal file for a rescue.';
    return { what, state: 'problem', found: `${path} is damaged: ${damages.join('; ')}`, fix };
  }
  const free =
    freeBytes > bytes / 2 && freeBytes > 64 * 1024 * 1024 ? `, ${size(freeBytes)} free` : '';
  const found = `${path}, ${size(bytes)}${free}, sound; schema ${schemaVersion}, SQLite ${sqliteVersion}`;
  return { what, state: 'good', found };
}

/** Messages that nobody delivers, or that were given up. */
function queue({ messages, oldestDueMessageMs }: WorldStats): Finding {
  const what = 'Queue';
  if (messages.dead > 0) {
    const fix = 'See them with hookline dead, repair the cause, then hookline redrive --all.';
    return { what, state: 'problem', found: `${messages.dead} messages were given up`, fix };
  }
  if (oldestDueMessageMs !== null && oldestDueMessageMs > LATE_MS && messages.leased === 0) {
    const found = `nothing has been delivered for ${duration(oldestDueMessageMs)}, though ${messages.due} messages are due`;
    const fix =
      'Call getWorld().start() where the app starts, in the role all or worker, and start it. If a ' +
      'worker is alive, see what blocks it, and whether the app answers.';
    return { what, state: 'problem', found, fix };
  }
  const found = `${messages.due} due, ${messages.leased} being delivered, ${messages.sleeping} asleep`;
  return { what, state: 'good', found };
}

/** A long log, which a reader may keep from starting again at its beginning. */
function longLog({ log: { bytes, readBy } }: WorldStats): Finding[] {
  if (bytes < LONG_LOG_BYTES) return [];
  const found = `the write-ahead log has ${size(bytes)}`;
  const readers = readBy.filter((pid) => pid !== process.pid);
  const fix =
    readers.length > 0
      ? `One of the processes ${readers.join(', ')} has a long read: end its transaction.`
      : 'End the long read of the database: a report, a copy, a shell with an open transaction.';
  return [{ what: 'Log', state: 'warning', found, fix }];
}

/** The workers of this host that could deliver. */
async function workers(world: World, due: number): Promise<Finding[]> {
  const what = 'Workers';
  let living: LivingWorker[];
  try {
    living = await livingWorkers(engineOf(world) as Engine);
  } catch (error) {
    return [{ what, state: 'problem', found: messageOf(error) }];
  }
  const troubles = living.flatMap(troublesOf).map(printable);
  if (troubles.length > 0) {
    return troubles.map((found) => ({ what, state: 'problem', found }));
  }
  if (living.length > 0) return [{ what, state: 'good', found: `${living.length} live here` }];
  const found = 'none is alive on this host';
  if (due === 0) return [{ what, state: 'good', found }];
  const fix =
    'Start the app, which calls getWorld().start(). If it runs as another user or could not make its ' +
    'lock file, this command cannot see it: its own warnings and world.stats() say why.';
  return [{ what, state: 'warning', found: `${found}, and ${due} messages are due`, fix }];
}

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
  const problem = missingSdk() ?? unsupportedSdk();
  if (problem) return [{ what, state: 'problem', ...problem }, target()];
  const { version = '', folder } = installed('workflow') ?? {};
  if (isSupported(version)) return [{ what, state: 'good', found: version }, target()];
  const found = `workflow ${version} in ${folder} may be another app's; hookline works with ${SUPPORTED_SDK}`;
  const fix = 'If it is what this app imports: npm install workflow@4';
  return [{ what, state: 'warning', found, fix }, target()];
}

function target(): Finding {
  const what = 'World of the SDK';
  const chosen = process.env.WORKFLOW_TARGET_WORLD;
  if (chosen !== 'hookline') {
    const found = chosen
      ? `WORKFLOW_TARGET_WORLD is ${chosen}`
      : 'WORKFLOW_TARGET_WORLD is not set here';
    const fix = 'Set WORKFLOW_TARGET_WORLD=hookline where the app runs (--env-file reads a file).';
    return { what, state: 'warning', found, fix };
  }
  if (installed('hookline')) return { what, state: 'good', found: 'hookline' };
  const fix = 'The SDK looks for it from the working directory: npm install hookline';
  return { what, state: 'problem', found: 'hookline is not installed here', fix };
}

/** Over HTTP a delivery needs the app's address; handlers in the same process do not. */
async function app(): Promise<Finding> {
  const what = 'App';
  const url = process.env.WORKFLOW_HOOKLINE_BASE_URL || appUrl();
  if (!url) {
    const fix = 'Set PORT or WORKFLOW_HOOKLINE_BASE_URL, and this command asks it.';
    return { what, state: 'warning', found: 'its address is not known here', fix };
  }
  if (readConfig({}).delivery === 'direct') {
    return { what, state: 'good', found: 'is not asked: delivery is direct' };
  }
  if (!/^http:\/\//i.test(url)) {
    const fix = 'Set WORKFLOW_HOOKLINE_BASE_URL to an http:// URL of the app.';
    const found = 'its address is no http:// URL, and deliveries come by plain HTTP';
    return { what, state: 'problem', found, fix };
  }
  try {
    const signal = AbortSignal.timeout(APP_ANSWERS_WITHIN_MS);
    const response = await fetch(`${url.replace(/\/+$/, '')}${FLOW}?__health`, { signal });
    if (await isHealthOfFlow(response)) return { what, state: 'good', found: `${url} answers` };
    const found = `${url} answers ${response.status}, not as a workflow app`;
    const fix = 'Is it another program at this port, or a proxy in between? Check PORT.';
    return { what, state: 'problem', found, fix };
  } catch {
    const fix = 'Start it, or check PORT and WORKFLOW_HOOKLINE_BASE_URL.';
    return { what, state: 'warning', found: `${url} does not answer`, fix };
  }
}

/** Another server may answer every request, so compare the answer with that of the SDK's route. */
async function isHealthOfFlow(response: Response): Promise<boolean> {
  const text = await response.text();
  try {
    const { healthy, endpoint } = JSON.parse(text);
    return response.ok && healthy === true && String(endpoint).includes(FLOW);
  } catch {
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
