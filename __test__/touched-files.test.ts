/** A database whose files others read, copy, remove or replace. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { resumeHook, type World } from 'hookline';
import { until } from './crash/harness';
import {
  cleanUp,
  newDatabase,
  newFolder,
  newHook,
  newRun,
  newWorld,
  ROOT,
  runNode,
  useAsSdkWorld,
} from './support';

const LIMIT_MS = 60_000;
const GONE = {
  code: 'IO',
  message: expect.stringContaining('removed or replaced while it was open'),
};

let sqlite3: string;

beforeAll(() => {
  const script = join(ROOT, 'scripts', 'install-sqlite3.sh');
  sqlite3 = execFileSync(script, { encoding: 'utf8' }).trim();
}, 120_000);

afterEach(async () => {
  useAsSdkWorld(undefined);
  await cleanUp();
});

/** Opens and closes the database in a process of its own. */
function receivedElsewhere(url: string): number {
  const sql = "SELECT count(*) FROM events WHERE event_type = 'hook_received'";
  return Number(execFileSync(sqlite3, [url, sql], { encoding: 'utf8' }));
}

async function worldWithHook(url: string): Promise<World> {
  const world = newWorld({ url, delivery: 'direct' });
  useAsSdkWorld(world);
  await newHook(world, 'token');
  return world;
}

/** Other ways by which a process touches its own database. */
const TOUCHES: [string, (url: string) => void][] = [
  ['reads the file', (url) => readFileSync(url)],
  ['copies the file', (url) => copyFileSync(url, join(newFolder(), 'copy.db'))],
  ['copies the folder', (url) => cpSync(dirname(url), newFolder(), { recursive: true })],
];
try {
  // From Node 22 on.
  const { DatabaseSync } = require('node:sqlite');
  TOUCHES.push([
    'opens it with node:sqlite',
    (url) => {
      const database = new DatabaseSync(url);
      database.prepare('SELECT count(*) FROM runs').get();
      database.close();
    },
  ]);
} catch {
  console.warn('SKIPPED: this Node has no node:sqlite');
}

test.each(TOUCHES)(
  'a process that %s loses nothing that it acknowledges, whoever closes the database then',
  async (_, touch) => {
    const url = newDatabase();
    const world = await worldWithHook(url);
    for (let n = 0; n < 5; n += 1) await resumeHook('token', { n });
    touch(url);
    expect(receivedElsewhere(url)).toBe(5);
    for (let n = 5; n < 40; n += 1) await resumeHook('token', { n });
    expect(receivedElsewhere(url)).toBe(40);
    await world.close();
    expect(receivedElsewhere(url)).toBe(40);
    expect(execFileSync(sqlite3, [url, 'PRAGMA integrity_check'], { encoding: 'utf8' })).toBe(
      'ok\n',
    );
  },
  LIMIT_MS,
);

test('a World whose folder was removed refuses everything, lets its waiters know, closes and makes nothing', async () => {
  const folder = join(newFolder(), 'state');
  const url = join(folder, 'hookline.db');
  const world = await worldWithHook(url);
  const deliveries: unknown[] = [];
  world.createQueueHandler('__wkf_step_', async (message) => {
    deliveries.push(message);
  });
  await world.start();
  const runId = await newRun(world);
  await world.writeToStream('s', runId, new Uint8Array([1]));
  const reader = (await world.readFromStream('s')).getReader();
  await reader.read();
  const waiting = reader.read();
  waiting.catch(() => undefined);
  rmSync(folder, { recursive: true });
  await expect(resumeHook('token', {})).rejects.toMatchObject(GONE);
  await expect(waiting).rejects.toMatchObject(GONE);
  await expect(resumeHook('token', {})).rejects.toMatchObject(GONE);
  await expect(world.runs.list()).rejects.toMatchObject(GONE);
  await expect(world.hooks.getByToken('token')).rejects.toMatchObject(GONE);
  await expect(world.queue('__wkf_step_x', { n: 1 })).rejects.toMatchObject(GONE);
  await expect(world.stats()).rejects.toMatchObject(GONE);
  await world.close();
  expect(existsSync(folder)).toBe(false);
  expect(deliveries).toEqual([]);
});

test('a World that only waits is told that its database was removed', async () => {
  const url = newDatabase();
  const world = await worldWithHook(url);
  const runId = await newRun(world);
  await world.writeToStream('s', runId, new Uint8Array([1]));
  const reader = (await newWorld({ url, role: 'reader' }).readFromStream('s')).getReader();
  await reader.read();
  const waiting = reader.read();
  waiting.catch(() => undefined);
  rmSync(url);
  await expect(waiting).rejects.toMatchObject(GONE);
});

test('a backup that is put in the place of the open database stays as it is, and the next World uses it', async () => {
  const url = newDatabase();
  const world = await worldWithHook(url);
  await resumeHook('token', { n: 1 });
  const backup = join(newFolder(), 'backup.db');
  await world.backup(backup);
  await resumeHook('token', { n: 2 });
  for (const end of ['', '-wal', '-shm']) rmSync(`${url}${end}`);
  renameSync(backup, url);
  await expect(resumeHook('token', { n: 3 })).rejects.toMatchObject(GONE);
  const next = newWorld({ url });
  useAsSdkWorld(next);
  await resumeHook('token', { n: 4 });
  await world.close();
  await resumeHook('token', { n: 5 });
  expect(receivedElsewhere(url)).toBe(3);
  await next.close();
  expect(receivedElsewhere(url)).toBe(3);
});

/** The package in another folder, with an addon of its own. */
function copyOfPackage(): string {
  const copy = join(newFolder(), 'hookline');
  mkdirSync(copy);
  for (const part of ['dist', 'native', 'package.json']) {
    cpSync(join(ROOT, part), join(copy, part), { recursive: true });
  }
  return copy;
}

test(
  'a second copy of the package in one process is refused while the first has the database open',
  async () => {
    const [one, two] = [ROOT, copyOfPackage()].map((root) => join(root, 'dist', 'index.js'));
    const script = `
      const outcome = (promise) => promise.then(() => 'done', ({ code, message }) => [code, message]);
      (async () => {
        const { url, role } = process.env;
        const [first, again] = [1, 2].map(() => require(${JSON.stringify(one)}).createWorld({ url }));
        const second = require(${JSON.stringify(two)}).createWorld({ url });
        const reader = require(${JSON.stringify(two)}).createWorld({ url, role: 'reader' });
        const told = [];
        // A read would not open a missing database.
        await first.queue('__wkf_step_x', {});
        for (const world of [first, again, second, reader]) told.push(await outcome(world.runs.list()));
        await again.close();
        told.push(await outcome(second.runs.list()));
        await first.close();
        const later = require(${JSON.stringify(two)}).createWorld({ url });
        told.push(await outcome(later.runs.list()));
        console.log(JSON.stringify(told));
      })();`;
    const url = newDatabase();
    const { stdout, stderr } = await runNode(['-e', script], { env: { ...process.env, url } });
    expect(stderr).toBe('');
    const refused = ['BAD_CONFIG', expect.stringContaining('npm ls hookline')];
    const told = ['done', 'done', refused, refused, refused, 'done'];
    expect(JSON.parse(stdout)).toEqual(process.platform === 'linux' ? told : expect.anything());
  },
  LIMIT_MS,
);

/** The files that a worker makes under this umask, in a folder that does not exist yet. */
async function modesUnder(umask: string, url: string): Promise<Record<string, string>> {
  const script = `
    process.umask(${umask});
    const { createWorld } = require(${JSON.stringify(join(ROOT, 'dist', 'index.js'))});
    const world = createWorld({ url: ${JSON.stringify(url)}, delivery: 'direct' });
    world.createQueueHandler('__wkf_step_', async () => console.log('delivered'));
    world.start().then(() => world.queue('__wkf_step_x', {}));
    setInterval(() => undefined, 1000);`;
  let looked: Record<string, string> = {};
  const look = (path: string) => (statSync(path).mode & 0o777).toString(8);
  await runNode(['-e', script], {}, (stdout, kill) => {
    if (!stdout.includes('delivered')) return;
    const owners = `${url}-owners`;
    const [owner] = readdirSync(owners);
    const paths = { folder: dirname(url), database: url, log: `${url}-wal`, owners };
    looked = Object.fromEntries(
      Object.entries({ ...paths, owner: join(owners, String(owner)) }).map(([name, path]) => [
        name,
        look(path),
      ]),
    );
    kill('SIGKILL');
  });
  return looked;
}

test('what a World makes is for its user only, whatever the umask, or for whom the database is', async () => {
  const url = join(newFolder(), 'state', 'hookline.db');
  expect(await modesUnder('0o000', url)).toEqual({
    folder: '700',
    database: '600',
    log: '600',
    owners: '700',
    owner: '600',
  });
  chmodSync(url, 0o660);
  rmSync(`${url}-owners`, { recursive: true });
  expect(await modesUnder('0o077', url)).toMatchObject({ owners: '770', owner: '660' });
});

test('a worker whose lock file was removed stays the owner of what it delivers', async () => {
  const url = newDatabase();
  // The worker can claim nothing more during that delivery.
  const worker = newWorld({ url, delivery: 'direct', concurrency: 1 });
  let begun = 0;
  let end: () => void = () => undefined;
  worker.createQueueHandler('__wkf_step_', () => {
    begun += 1;
    return new Promise<void>((resolve) => {
      end = resolve;
    });
  });
  await worker.start();
  await worker.queue('__wkf_step_x', {});
  await until('the delivery', LIMIT_MS, () => begun === 1);
  rmSync(`${url}-owners`, { recursive: true });
  // Another process frees the leases of dead workers as soon as it delivers, and then delivers its
  // own messages.
  const script = `
    const { createWorld } = require(${JSON.stringify(join(ROOT, 'dist', 'index.js'))});
    const world = createWorld({ url: ${JSON.stringify(url)}, delivery: 'direct' });
    world.createQueueHandler('__wkf_step_', async ({ mine }) => {
      console.log(mine ? 'mine' : 'stolen');
    });
    world.start().then(() => world.queue('__wkf_step_x', { mine: true }));
    setInterval(() => undefined, 1000);`;
  const { stdout } = await runNode(['-e', script], {}, (said, kill) => {
    if (said.includes('mine')) kill('SIGKILL');
  });
  expect(stdout).toBe('mine\n');
  expect(begun).toBe(1);
  end();
}, 60_000);
