/** Kills processes at random moments, and reads the rest of their database. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { isOnPostgres, queryPostgres } from '../databases';
import { childEnv, ROOT } from '../support';

/** A number from 0 to 1, the next of a sequence. */
export type Random = () => number;

/** The first seed of this run. */
export const SEED = Number(process.env.HOOKLINE_TEST_SEED) || Date.now() % 1_000_000_000;

/**
 * Runs a test body that draws its moments from one sequence. A failure names the seed, and
 * `HOOKLINE_TEST_SEED=<seed>` repeats the same plan (but not the machine's timing).
 */
export function withSeed(body: (random: Random) => Promise<void>): () => Promise<void> {
  return async () => {
    try {
      await body(sequence(SEED));
    } catch (error) {
      if (error instanceof Error) error.message += `\n\nHOOKLINE_TEST_SEED=${SEED}`;
      throw error;
    }
  };
}

/** Mulberry32. */
function sequence(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What a look into a database without the engine finds. */
export interface Found {
  /** `['ok']`, or what is wrong. */
  integrity: string[];
  /** The payloads of `hook_received`, by run, in the order of the log. */
  received: Record<string, string[]>;
  /** The number of messages that will still replay each run. */
  queued: Record<string, number>;
  messages: number;
  /** Of each message, from the oldest on. */
  attempts: number[];
  /** Messages whose last attempt has failed. */
  failed: number;
  events: number;
  /** In hexadecimal; one. */
  deliverySecret: string[];
  /** Runs whose log has gaps. */
  gaps: string[];
}

const compiled = new Map<string, string>();

/** The time that a first compilation of the inspector may take. */
export const BUILD_LIMIT_MS = 300_000;

/** The path of `examples/inspect.rs`, compiled at first. */
export function buildInspector(): string {
  return built('inspect');
}

/** The path of `examples/expire_leases.rs`, compiled at first. */
export function buildExpiry(): string {
  return built('expire_leases');
}

/** The path of a program of `examples/`, compiled at first. */
function built(example: string): string {
  const path = compiled.get(example) ?? compile(example);
  compiled.set(example, path);
  return path;
}

function compile(example: string): string {
  const args = ['build', '--locked', '--example', example, '--message-format=json'];
  const output = execFileSync('cargo', args, {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
  });
  const executables = output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => (JSON.parse(line) as { executable?: string | null }).executable)
    .filter((path) => path && basename(path).startsWith(example));
  return executables.at(-1) as string;
}

/** What `examples/inspect.rs` finds in a file. The server itself answers for its integrity. */
const FOUND = `SELECT json_build_object(
  'integrity', '["ok"]'::json,
  'received', coalesce((SELECT json_object_agg(run_id, payloads) FROM (
    SELECT run_id, json_agg(convert_from(payload, 'UTF8') ORDER BY position) AS payloads FROM events
    WHERE event_type = 'hook_received' GROUP BY run_id) AS r), '{}'),
  'queued', coalesce((SELECT json_object_agg(run_id, count) FROM (
    SELECT run_id, count(*) FROM messages WHERE run_id IS NOT NULL AND dead_at_ms IS NULL
    GROUP BY run_id) AS q), '{}'),
  'messages', (SELECT count(*) FROM messages),
  'attempts', coalesce((SELECT json_agg(attempt ORDER BY message_id) FROM messages), '[]'),
  'failed', (SELECT count(*) FROM messages WHERE last_error IS NOT NULL),
  'events', (SELECT count(*) FROM events),
  'deliverySecret', (SELECT json_agg(encode(secret, 'hex')) FROM delivery_secret),
  'gaps', coalesce((SELECT json_agg(run_id) FROM (SELECT run_id FROM events GROUP BY run_id
    HAVING min(position) <> 1 OR max(position) <> count(*)) AS g), '[]'))`;

/**
 * Inspects a database that no process writes now. Of a file it inspects a copy, because the next process must
 * recover the WAL of the killed one by itself.
 */
export function inspect(database: string): Found {
  if (isOnPostgres(database)) return JSON.parse(queryPostgres(database, FOUND)) as Found;
  const inspector = buildInspector();
  const folder = mkdtempSync(join(tmpdir(), 'hookline-inspect-'));
  try {
    const copy = join(folder, 'copy.db');
    for (const suffix of ['', '-wal']) {
      if (existsSync(database + suffix)) copyFileSync(database + suffix, copy + suffix);
    }
    const output = execFileSync(inspector, [copy], {
      encoding: 'utf8',
      maxBuffer: 256 * 1024 * 1024,
    });
    return JSON.parse(output) as Found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Lets every lease of a database expire, as if the time had passed. */
export function expireLeases(database: string): void {
  execFileSync(buildExpiry(), [database]);
}

/** When a process is killed. */
export type Moment =
  /** Milliseconds after its start: while it loads, opens, migrates or works. */
  | { afterMs: number }
  /** Milliseconds after it has printed this many lines. */
  | { afterLines: number; thenMs: number };

/** A script of `crash/processes`; its input is JSON, its environment names the database. */
export function spawnProcess(script: string, database: string, input: object): ChildProcess {
  return spawn(
    process.execPath,
    [join(__dirname, 'processes', `${script}.mjs`), JSON.stringify(input)],
    {
      cwd: ROOT,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: childEnv({ WORKFLOW_HOOKLINE_URL: database }),
    },
  );
}

/**
 * Runs a script until its moment, kills it with SIGKILL and returns the whole lines that it
 * printed. A script may also kill itself before.
 *
 * @throws when the script ends in any other way: it failed, or did not reach the moment.
 */
export async function killAt(
  moment: Moment,
  script: string,
  database: string,
  input: object,
): Promise<string[]> {
  const child = spawnProcess(script, database, input);
  let output = '';
  let errors = '';
  let lines = 0;
  let timer: NodeJS.Timeout | undefined;
  const killIn = (ms: number) => {
    timer ??= setTimeout(() => child.kill('SIGKILL'), ms);
  };
  if ('afterMs' in moment) killIn(moment.afterMs);
  child.stdout?.on('data', (data: Buffer) => {
    const text = data.toString();
    output += text;
    lines += text.split('\n').length - 1;
    if ('afterLines' in moment && lines >= moment.afterLines) killIn(moment.thenMs);
  });
  child.stderr?.on('data', (data: Buffer) => {
    errors += data.toString();
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((ended, failed) => {
    child.on('error', failed);
    child.on('close', (...how) => ended(how));
  });
  clearTimeout(timer);
  if (signal !== 'SIGKILL' || errors !== '') {
    throw new Error(`${script} ended with ${code ?? signal}\n${errors}\n${output.slice(-2000)}`);
  }
  return output.split('\n').slice(0, -1);
}

/** Collects the lines of a process that is still running. */
export function linesOf(child: ChildProcess): string[] {
  const lines: string[] = [];
  let rest = '';
  child.stdout?.on('data', (data: Buffer) => {
    const whole = (rest + data).split('\n');
    rest = whole.pop() ?? '';
    lines.push(...whole);
  });
  child.stderr?.on('data', (data: Buffer) => lines.push(`stderr ${data}`));
  return lines;
}

/**
 * Pauses a process between two writes to its database. A process that is paused inside a write
 * keeps SQLite's lock, and nobody else can write.
 */
export async function pauseBetweenWrites(child: ChildProcess): Promise<void> {
  const stop = async () => {
    child.kill('SIGSTOP');
    await untilPaused(child);
  };
  await stop();
  while (isWriting(child)) {
    child.kill('SIGCONT');
    await pause(1);
    await stop();
  }
}

/** Waits until a process is paused, by any signal. */
export async function untilPaused({ pid }: ChildProcess): Promise<void> {
  const state = () => execFileSync('ps', ['-o', 'stat=', '-p', String(pid)]).toString();
  await until('the process is paused', PAUSE_LIMIT_MS, () => state().startsWith('T'));
}

const PAUSE_LIMIT_MS = 10_000;

/** Whether a paused process has locked an SQLite database to write; `false` where no list of locks is. */
function isWriting({ pid }: ChildProcess): boolean {
  if (!existsSync('/proc/locks')) return false;
  // SQLite's locks of a write-ahead log are the bytes from 120 to 127 of the shared-memory file.
  const lock = new RegExp(`POSIX +ADVISORY +WRITE ${pid} \\S+ 12[0-7] `);
  return lock.test(readFileSync('/proc/locks', 'utf8'));
}

/** Checks often until a condition is true. */
export async function until(
  what: string,
  withinMs: number,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const limit = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > limit) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(5);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

/** The texts that occur more than once. */
export function repeated(texts: string[]): string[] {
  const known = new Set<string>();
  return texts.filter((text) => known.size === known.add(text).size);
}
