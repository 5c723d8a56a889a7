/**
 * Where the tests keep their databases: in files, or in schemas of a Postgres server. The variable
 * HOOKLINE_TEST_POSTGRES is the server's URL, to which a parameter can be appended
 * (scripts/on-postgres.mjs sets it).
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const SERVER = process.env.HOOKLINE_TEST_POSTGRES;
/** More than a test stores. */
const BYTES_MAX = 256 * 1024 * 1024;

/** Whether the tests keep their databases on a Postgres server. */
export const onPostgres = SERVER !== undefined;

/** The URL of the database that belongs to a folder. */
export function databaseIn(folder: string): string {
  if (!SERVER) return join(folder, 'hookline.db');
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  return `${SERVER}&schema=test_${name}`;
}

/** Whether a URL names a schema of the server. */
export function isOnPostgres(database: string): boolean {
  return database.startsWith('postgres:');
}

/** All bytes that are kept for the database of a folder, of Postgres those of all rows. */
export function bytesOf(folder: string): Buffer {
  if (!SERVER) return bytesOfFiles(folder);
  const schema = new URL(databaseIn(folder)).searchParams.get('schema') as string;
  const args = ['-d', SERVER, '-n', schema, '--data-only'];
  const rows = execFileSync('pg_dump', args, { maxBuffer: BYTES_MAX }).toString();
  const values = rows.match(/(?<=\\\\x)[0-9a-f]+/g) ?? [];
  return Buffer.from(
    rows + values.map((hex) => Buffer.from(hex, 'hex').toString('latin1')).join('\n'),
  );
}

function bytesOfFiles(folder: string): Buffer {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = files
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name));
  return Buffer.concat(paths.map((path) => readFileSync(path)));
}

/** What a query prints whose tables are in the database's schema. */
export function queryPostgres(database: string, sql: string): string {
  const url = new URL(database);
  const schema = url.searchParams.get('schema');
  url.searchParams.delete('schema');
  // In one transaction: behind a pooler the next one may have another session.
  const options = ['-X', '-A', '-t', '-q', '-1', '-v', 'ON_ERROR_STOP=1'];
  return execFileSync('psql', [...options, '-d', url.href, '-f', '-'], {
    encoding: 'utf8',
    input: `SET LOCAL search_path = ${schema};\n${sql};`,
    maxBuffer: BYTES_MAX,
  }).trimEnd();
}
