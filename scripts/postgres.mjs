/** A Postgres server of one test or benchmark: in a folder of its own, never as root. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const DEBIAN = '/usr/lib/postgresql';
/** How often a server is started that was killed. */
const START_TRIES_MAX = 100;

/** The folder of the newest Postgres programs that Debian's packages have put here, if there are any. */
export function postgresPrograms() {
  try {
    const versions = readdirSync(DEBIAN).sort((a, b) => Number(a) - Number(b));
    return versions.length > 0 ? join(DEBIAN, versions.at(-1), 'bin') : undefined;
  } catch {
    return undefined;
  }
}

/** The folder of Debian's Postgres programs. As root, installs them if they are missing. */
export function installPostgres() {
  const script = fileURLToPath(new URL('install-postgres.sh', import.meta.url));
  return execFileSync('bash', [script], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
}

/** The command as the user of a server: Postgres and PgBouncer refuse to run as root. */
function asServersUser(...command) {
  return userInfo().uid === 0 ? ['runuser', '-u', 'postgres', '--', ...command] : command;
}

/**
 * Starts a server on `port` with its data in `place`, an empty folder. `settings` are passed on, such as
 * `fsync=off`. Returns its URL, the id of its process, and a function that stops it.
 */
export function startPostgres({ programs, place, port, settings = [] }) {
  const data = join(place, 'data');
  mkdirSync(data);
  chmodSync(place, 0o755);
  // The folders above belong to our user, and must let the server's user through.
  chmodSync(dirname(place), 0o755);
  if (userInfo().uid === 0) execFileSync('chown', ['-R', 'postgres', place]);
  const run = (name, ...args) => {
    const [command, ...rest] = asServersUser(join(programs, name), ...args);
    execFileSync(command, rest, { cwd: '/', stdio: ['ignore', 'ignore', 'inherit'] });
  };
  run('initdb', '-D', data, '-A', 'trust', '-U', 'postgres');
  const given = settings.map((setting) => ` -c ${setting}`).join('');
  const options = `-p ${port} -k ${place} -c listen_addresses=127.0.0.1${given}`;
  const start = () =>
    run('pg_ctl', '-D', data, '-o', options, '-l', join(place, 'log'), '-w', 'start');
  start();
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const pid = () => Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n', 1)[0]);
  return {
    url,
    pid: pid(),
    /** What a statement prints; nothing while the server takes none. */
    query(sql) {
      const asked = ['-X', '-A', '-t', '-q', '-d', url, '-c', sql];
      return spawnSync(join(programs, 'psql'), asked, { encoding: 'utf8' }).stdout.trim();
    },
    /** Kills the server at once, and starts it again. */
    async crash() {
      process.kill(pid(), 'SIGKILL');
      // Its other processes may live on for a moment.
      for (let tries = 1; ; tries += 1) {
        await pause(100);
        try {
          return start();
        } catch (error) {
          if (tries === START_TRIES_MAX) throw error;
        }
      }
    },
    stop: () => run('pg_ctl', '-D', data, '-m', 'immediate', 'stop'),
  };
}

/** Starts PgBouncer before a server of {@link startPostgres}, in transaction mode. */
export async function startPgBouncer({ place, port, server }) {
  const { hostname, port: serverPort } = new URL(server.url);
  const file = join(place, 'pgbouncer.ini');
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'any',
    pool_mode: 'transaction',
    max_client_conn: 2000,
    default_pool_size: 40,
    logfile: join(place, 'pgbouncer.log'),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  const database = `postgres = host=${hostname} port=${serverPort} user=postgres`;
  writeFileSync(file, ['[databases]', database, '[pgbouncer]', ...lines, ''].join('\n'));
  const [command, ...args] = asServersUser('/usr/sbin/pgbouncer', '-q', file);
  const child = spawn(command, args, { cwd: '/', stdio: ['ignore', 'ignore', 'inherit'] });
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error('PgBouncer did not start');
    await pause(20);
  }
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    stop: () => child.kill('SIGTERM'),
  };
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true));
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
  });
}
