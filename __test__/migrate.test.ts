/** `npx hookline migrate`, on a schema of a Postgres server. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { databaseIn, isOnPostgres, queryPostgres } from './databases';
import { cleanUp, newFolder, newWorld, ROOT } from './support';

afterEach(cleanUp);

function hookline(...args: string[]) {
  const cli = join(ROOT, 'dist', 'cli.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('a file is migrated by whoever opens it', () => {
  const { status, stderr } = hookline('migrate', '--url', join(newFolder(), 'hookline.db'));
  expect(status).toBe(1);
  expect(stderr).toContain('only a Postgres database is migrated by hand');
});

(isOnPostgres(databaseIn('any')) ? describe : describe.skip)('on Postgres', () => {
  test('an app that may not migrate works on what migrate has made', async () => {
    const url = databaseIn(newFolder());
    const app = newWorld({ url, migrate: 'off' });
    await expect(app.runs.list({})).rejects.toMatchObject({
      code: 'CANNOT_OPEN',
      message: expect.stringContaining('npx hookline migrate'),
    });
    const shown = hookline('migrate', '--url', url, '--dry-run', '--grant', 'pg_monitor');
    expect(shown.stdout).toMatch(
      /^BEGIN;\nCREATE SCHEMA test_.*GRANT .* TO "pg_monitor";\nCOMMIT;\n$/s,
    );
    const schema = new URL(url).searchParams.get('schema');
    expect(
      queryPostgres(url, `SELECT count(*) FROM pg_namespace WHERE nspname = '${schema}'`),
    ).toBe('0');
    expect(hookline('migrate', '--url', url).stdout).toContain('is now at version 1');
    expect(hookline('migrate', '--url', url).stdout).toContain('was at version 1');
    await expect(newWorld({ url, migrate: 'off' }).runs.list({})).resolves.toMatchObject({
      data: [],
    });
  });

  test('a role that does not exist is said', () => {
    const { status, stderr } = hookline(
      'migrate',
      '--url',
      databaseIn(newFolder()),
      '--grant',
      'nobody here',
    );
    expect(status).toBe(1);
    expect(stderr).toContain('nobody here');
  });
});
