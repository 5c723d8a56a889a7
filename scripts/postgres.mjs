/** A Postgres server of one test or benchmark: in a folder of its own, never as root. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';

const DEBIAN = '/usr/lib/postgresql';

/** The folder of the newest Postgres programs that Debian's packages have put here, if there are any. */
export function postgresPrograms() {
  try {
    const versions = readdirSync(DEBIAN).sort((a, b) => Number(a) - Number(b));
    return versions.length > 0 ? join(DEBIAN, versions.at(-1), 'bin') : undefined;
  } catch {
    return undefined;
  }
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
  // Postgres refuses to run as root.
  const asUser = userInfo().uid === 0 ? ['runuser', '-u', 'postgres', '--'] : [];
  if (asUser.length > 0) execFileSync('chown', ['-R', 'postgres', place]);
  const run = (name, ...args) => {
    const [command, ...rest] = [...asUser, join(programs, name), ...args];
    execFileSync(command, rest, { cwd: '/', stdio: ['ignore', 'ignore', 'inherit'] });
  };
  run('initdb', '-D', data, '-A', 'trust', '-U', 'postgres');
  const given = settings.map((setting) => ` -c ${setting}`).join('');
  const options = `-p ${port} -k ${place} -c listen_addresses=127.0.0.1${given}`;
  run('pg_ctl', '-D', data, '-o', options, '-l', join(place, 'log'), '-w', 'start');
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    pid: Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n', 1)[0]),
    stop: () => run('pg_ctl', '-D', data, '-m', 'immediate', 'stop'),
  };
}
