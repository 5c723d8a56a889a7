/** The Postgres server of `postgres.mjs`: on a real disk, synced, and asked what it has done. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../scripts/free-port.mjs';
import { postgresPrograms, startPostgres } from '../scripts/postgres.mjs';
import { processorMs } from './processor.mjs';

/** A session that has nothing to do reports what it has done after ten seconds. */
export const REPORTED_AFTER_MS = 11_000;
/** What the server is given besides its defaults: memory for a million hooks, and room between checkpoints. */
const SETTINGS = [
  'fsync=on',
  'synchronous_commit=on',
  'shared_buffers=3GB',
  'max_wal_size=4GB',
  'max_connections=200',
  'shared_preload_libraries=pg_stat_statements',
];

/** Starts a server with its data in `place`; `undefined` where there is no Postgres. */
export async function startServer(place) {
  const programs = postgresPrograms();
  if (!programs) return undefined;
  mkdirSync(place, { recursive: true });
  const port = await freePort();
  const started = startPostgres({ programs, place, port, settings: SETTINGS });
  const sql = (text) =>
    execFileSync(join(programs, 'psql'), [started.url, '-XAtqc', text], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    }).trim();
  sql('CREATE EXTENSION pg_stat_statements');
  const isNew = Number(sql('SHOW server_version_num')) >= 180_000;
  const numbers = `SELECT json_build_object('syncs', ${
    isNew
      ? "(SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal')"
      : '(SELECT wal_sync FROM pg_stat_wal)'
  }, 'walBytes', (SELECT wal_bytes FROM pg_stat_wal),
    'transactions', (SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database
      WHERE datname = current_database()),
    'statements', (SELECT coalesce(sum(calls), 0) FROM pg_stat_statements
      WHERE query NOT LIKE '%pg_stat_%'))`;
  const track = (what) => {
    sql(`ALTER SYSTEM SET pg_stat_statements.track = '${what}'`);
    sql('SELECT pg_reload_conf()');
  };
  track('none');
  return { ...started, port, sql, version: sql('SHOW server_version'), counted };

  /** What `work` makes the server do, for each of its `count` operations. */
  async function counted(count, work) {
    track('top');
    await pause(REPORTED_AFTER_MS);
    const before = JSON.parse(sql(numbers));
    const usedMs = processorMs(started.pid);
    const worked = await work();
    const serverMs = processorMs(started.pid) - usedMs;
    await pause(REPORTED_AFTER_MS);
    const after = JSON.parse(sql(numbers));
    track('none');
    const each = Object.keys(after).map((name) => [name, (after[name] - before[name]) / count]);
    return { ...Object.fromEntries(each), serverMs: serverMs / count, worked };
  }
}

/**
 * Gives the server the first half of the processors, and this process and those that it starts the others,
 * as on two hosts. Else they may share one, where a round trip costs a third.
 */
export function setApart({ pid }) {
  const all = cpus().length;
  const half = Math.floor(all / 2);
  if (half === 0) throw new Error('--apart needs two processors');
  const pin = (processors, of) =>
    execFileSync('taskset', ['-acp', processors, String(of)], { stdio: 'ignore' });
  const workers = execFileSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' }).trim();
  for (const of of [pid, ...workers.split('\n')]) pin(`0-${half - 1}`, of);
  pin(`${half}-${all - 1}`, process.pid);
}

/** A proxy that counts round trips: how often a client sends after the server has answered. */
export async function startCounter(port) {
  let trips = 0;
  const sockets = new Set();
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true });
    let hasAnswered = true;
    client.on('data', (bytes) => {
      if (hasAnswered) trips += 1;
      hasAnswered = false;
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      hasAnswered = true;
      client.write(bytes);
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      sockets.add(one);
      one.on('error', () => other.destroy()).on('close', () => other.destroy());
    }
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    port: server.address().port,
    trips: () => trips,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Copies the run that is parked in a schema, its log and its hook, until there are `size`. */
export function copyParked({ sql }, schema, size) {
  const run = "'wrun_' || lpad(n::text, 26, '0')";
  const hook = "'hook_' || lpad(n::text, 26, '0')";
  const token = "convert_to('approval:' || lpad(n::text, 6, '0'), 'UTF8')";
  const copy = (table, changes, how = '') =>
    `INSERT INTO ${schema}.${table} ${how} SELECT x.* FROM ${schema}.${table} AS t,
     generate_series(1, ${size - 1}) AS n,
     LATERAL jsonb_populate_record(t, jsonb_build_object('run_id', ${run}, ${changes})) AS x`;
  const nothing = "'none', 0";
  sql(copy('runs', nothing));
  sql(copy('events', `'correlation_id', CASE WHEN t.correlation_id IS NOT NULL THEN ${hook} END`));
  const named = `'hook_number', n + 1000, 'hook_id', ${hook}, 'token', ${token}, 'token_digest', sha256(${token})`;
  sql(copy('hooks', named, 'OVERRIDING SYSTEM VALUE'));
  sql(`SELECT setval(pg_get_serial_sequence('${schema}.hooks', 'hook_number'), ${size + 1000})`);
  for (const table of ['runs', 'events', 'hooks']) sql(`VACUUM ANALYZE ${schema}.${table}`);
}
