/** Files of an app that ran once as root, and then as another user. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cleanUp, newDatabase, newRun, newWorld, ROOT } from './support';

/** The user `nobody` of Debian. */
const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;
const asRoot = isRoot ? test : test.skip;
const why = isRoot ? '' : ' (cannot run here: only root can become another user)';

afterEach(cleanUp);

/** The outcome of `start()` in a process of another user. */
function startAsNobody(url: string): { ok: boolean; code?: string; message?: string } {
  const code = `
    import { createWorld } from ${JSON.stringify(join(ROOT, 'dist', 'index.mjs'))};
    const world = createWorld({ url: ${JSON.stringify(url)} });
    const outcome = await world.start().then(
      () => ({ ok: true }),
      ({ code, message }) => ({ ok: false, code, message }),
    );
    await world.close();
    process.stdout.write(JSON.stringify(outcome));
  `;
  const options = {
    cwd: '/',
    uid: NOBODY,
    gid: NOBODY,
    encoding: 'utf8',
    timeout: 60_000,
  } as const;
  const args = ['--input-type=module', '-e', code];
  return JSON.parse(execFileSync(process.execPath, args, { ...options, env: {} }));
}

/** A database that root made and has open, in a folder of the other user. */
async function madeByRoot(): Promise<string> {
  const url = newDatabase();
  const world = newWorld({ url });
  await newRun(world);
  await world.start();
  chownSync(dirname(url), NOBODY, NOBODY);
  chmodSync(dirname(url), 0o755);
  return url;
}

function give(...files: string[]): void {
  for (const file of files) chownSync(file, NOBODY, NOBODY);
}

asRoot(
  `a folder of lock files that belongs to root is named with its owner when the World starts${why}`,
  async () => {
    const url = await madeByRoot();
    give(url, `${url}-wal`, `${url}-shm`);
    const refused = startAsNobody(url);
    expect(refused).toMatchObject({ ok: false, code: 'READ_ONLY' });
    const { message } = refused;
    expect(message).toContain(`the folder of lock files ${url}-owners belongs to root, uid 0`);
    expect(message).toContain(`uid ${NOBODY}`);
    expect(message).toContain(`chown -R ${NOBODY} ${url}-owners`);
    expect(message).toContain('delete it while nothing uses the database');
    // Do what the message says.
    execFileSync('chown', ['-R', String(NOBODY), `${url}-owners`]);
    expect(startAsNobody(url)).toEqual({ ok: true });
  },
  60_000,
);

asRoot(
  `a file of the log that belongs to root is named with its owner when the World starts${why}`,
  async () => {
    const url = await madeByRoot();
    for (const file of [url, `${url}-wal`, `${url}-shm`]) {
      give(`${url}-owners`, ...readdirSync(`${url}-owners`).map((it) => join(`${url}-owners`, it)));
      const refused = startAsNobody(url);
      expect(refused).toMatchObject({ ok: false, code: 'READ_ONLY' });
      expect(refused.message).toContain(`the file ${file} belongs to root, uid 0`);
      expect(refused.message).toContain(`chown -R ${NOBODY} ${file}`);
      give(file);
    }
    expect(startAsNobody(url)).toEqual({ ok: true });
    expect(existsSync(url)).toBe(true);
  },
  60_000,
);
