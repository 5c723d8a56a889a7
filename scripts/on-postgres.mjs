// Runs a command whose tests then keep their databases on a Postgres server of its own:
//
//   node scripts/on-postgres.mjs npx jest storage
//   node scripts/on-postgres.mjs --pgbouncer npx jest storage     behind PgBouncer in transaction mode
//   node scripts/on-postgres.mjs --restless npx jest stress       connections and processes of the server
//                                                                 are killed while a test asks for it
//
// The server is gone afterwards. The command gets its URL as HOOKLINE_TEST_POSTGRES.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from './free-port.mjs';
import { installPostgres, startPgBouncer, startPostgres } from './postgres.mjs';

/** No test needs its data after a crash of the machine. Worlds of many tests are open at once. */
const SETTINGS = ['fsync=off', 'full_page_writes=off', 'max_connections=400'];
const DISTURB_EVERY_MS = 1500;
const OURS = "FROM pg_stat_activity WHERE application_name LIKE 'hookline/%'";

const given = process.argv.slice(2);
const mode = given[0]?.startsWith('--') ? given.shift() : undefined;
const [command, ...args] = given;
const programs = installPostgres();
const place = mkdtempSync(join(tmpdir(), 'hookline-postgres-'));
const server = startPostgres({ programs, place, port: await freePort(), settings: SETTINGS });
const pooler =
  mode === '--pgbouncer' && (await startPgBouncer({ place, port: await freePort(), server }));
const child = spawn(command, args, {
  stdio: 'inherit',
  env: {
    ...process.env,
    PATH: `${process.env.PATH}:${programs}`,
    HOOKLINE_TEST_POSTGRES: `${(pooler || server).url}?sslmode=disable`,
    ...(mode === '--restless' && { HOOKLINE_TEST_RESTLESS: String(process.pid) }),
  },
});
// The command gets the signals too, and the server must outlive it.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
let isRestless = false;
process.on('SIGUSR2', () => {
  isRestless = !isRestless;
});
const ended = once(child, 'exit');
if (mode === '--restless') await disturb();
const [code] = await ended;
if (pooler) pooler.stop();
server.stop();
rmSync(place, { recursive: true, force: true });
process.exitCode = code ?? 1;

/** Kills what the server consists of, until the command ends. */
async function disturb() {
  const ways = [
    () => server.query(`SELECT pg_terminate_backend(pid) ${OURS}`),
    () => server.query(`SELECT pg_terminate_backend(pid) ${OURS} ORDER BY random() LIMIT 1`),
    () => killOne(),
    () => server.crash(),
  ];
  for (let time = 0; child.exitCode === null && child.signalCode === null; time += 1) {
    await pause(DISTURB_EVERY_MS);
    if (isRestless) await ways[time % ways.length]();
  }
}

/** The server then ends all its other connections too. */
function killOne() {
  const pid = Number(server.query(`SELECT pid ${OURS} ORDER BY random() LIMIT 1`));
  if (pid > 0) process.kill(pid, 'SIGKILL');
}
