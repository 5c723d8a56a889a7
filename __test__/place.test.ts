/** Places of the database: refused ones, and those with a warning. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createWorld } from 'hookline';
import { findings } from './command-line';
import { childEnv, cleanUp, newDatabase, newFolder, newWorld, ROOT, runNode } from './support';

const SCRIPTS = join(ROOT, '__test__', 'place');
const REPORT = [process.execPath, join(SCRIPTS, 'report.mjs')] as const;
const isRoot = process.getuid?.() === 0;
/** Runs a command that sees its own mounts, invisible to other processes. */
const APART = [isRoot ? '-m' : '-rm'];
const isLinux = process.platform === 'linux';

interface Report {
  error?: { name: string; code: string; message: string };
  warnings: { code: string; message: string }[];
}

const PRODUCTION = { NODE_ENV: 'production' };

function environment(added: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return childEnv({ WORKFLOW_HOOKLINE_FILE_SYSTEM: undefined, ...added });
}

function ran(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Report {
  const stdio = ['ignore', 'pipe', 'pipe'] as ('ignore' | 'pipe')[];
  const options = { cwd: ROOT, stdio, timeout: 60_000, env: environment(env) };
  return JSON.parse(String(execFileSync(command, args, options))) as Report;
}

/** The report of a process that writes to this file. */
function report(file: string, env: NodeJS.ProcessEnv = {}): Report {
  return ran(REPORT[0], [REPORT[1], file], env);
}

/** The same, after a script of `place/` has mounted something at a folder. */
function onMount(script: string[], folder: string, file: string, env: NodeJS.ProcessEnv): Report {
  return ran('unshare', [...APART, ...script, folder, ...REPORT, file], env);
}

function mounts(script: string[]): boolean {
  if (!isLinux) return false;
  const folder = newFolder();
  const args = [...APART, ...script, folder, 'true'];
  return spawnSync('unshare', args, { timeout: 20_000, killSignal: 'SIGKILL' }).status === 0;
}

const FUSE = [process.execPath, join(SCRIPTS, 'fuse.mjs')];
const CONTAINER = ['sh', join(SCRIPTS, 'container.sh')];
const served = mounts(FUSE);
const contained = mounts(CONTAINER);
const onFuse = served ? test : test.skip;
const inContainer = contained ? test : test.skip;
const inMemory = isLinux && existsSync('/dev/shm') ? test : test.skip;
const skipped = (runs: boolean) => (runs ? '' : ' (cannot run here: it cannot be mounted)');

const ofPlace = (...texts: string[]) => [
  { code: 'HOOKLINE_PLACE', message: expect.stringMatching(texts.join('.*')) },
];

async function doctor(url: string) {
  const env = environment({ WORKFLOW_HOOKLINE_URL: url, PORT: '' });
  return (await findings([], { env })).filter(({ what }) => what === 'Place');
}

afterEach(cleanUp);

onFuse(
  `a file system that a program serves is refused, by readers too, with what to do${skipped(served)}`,
  () => {
    const folder = newFolder();
    const refusal = {
      name: 'WorkflowWorldError',
      code: 'CANNOT_OPEN',
      message: expect.stringMatching(/fuse\.test.*local disk.*WORKFLOW_HOOKLINE_FILE_SYSTEM=any/s),
    };
    for (const name of ['a.db', 'there.db']) {
      expect(onMount(FUSE, folder, join(folder, name), {}).error).toMatchObject(refusal);
    }
    const reading = { WORKFLOW_HOOKLINE_ROLE: 'reader' };
    const read = onMount(FUSE, folder, join(folder, 'there.db'), reading);
    expect(read.error).toMatchObject(refusal);
    const env = { WORKFLOW_HOOKLINE_FILE_SYSTEM: 'any' };
    const { error } = onMount(FUSE, folder, join(folder, 'a.db'), env);
    // This file system can make no file, but the engine has tried.
    expect(error?.message).toContain('cannot be created or written');
  },
  60_000,
);

inContainer(
  `the layer of a container is warned of once in production, and only then${skipped(contained)}`,
  () => {
    const file = '/srv/hookline-place/a.db';
    expect(onMount(CONTAINER, newFolder(), file, PRODUCTION)).toEqual({
      warnings: ofPlace(file, "container's own layer", 'mount a volume'),
    });
    const inTests = onMount(CONTAINER, newFolder(), file, { NODE_ENV: 'test' });
    expect(inTests).toEqual({ warnings: [] });
    expect(existsSync(file)).toBe(false);
  },
  60_000,
);

inMemory(
  `memory is warned of once in production, and by doctor always${skipped(isLinux)}`,
  async () => {
    const folder = mkdtempSync('/dev/shm/hookline-place-');
    try {
      const file = join(folder, 'a.db');
      expect(await doctor(file)).toMatchObject([{ state: 'warning' }]);
      expect(readdirSync(folder)).toEqual([]);
      expect(report(file, PRODUCTION)).toEqual({ warnings: ofPlace(file, 'tmpfs', 'on a disk') });
      expect(report(file, { NODE_ENV: 'development' })).toEqual({ warnings: [] });
      expect(await doctor(file)).toMatchObject([
        { state: 'warning', found: expect.stringContaining('memory'), fix: expect.any(String) },
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  60_000,
);

test('a folder that the next build deletes is warned of once, and by doctor', async () => {
  const app = newFolder();
  writeFileSync(join(app, 'package.json'), '{}');
  const file = join(app, '.next', 'standalone', 'a.db');
  mkdirSync(join(app, '.next', 'standalone'), { recursive: true });
  expect(report(file)).toEqual({ warnings: ofPlace(file, '.next, which the next build deletes') });
  expect(await doctor(file)).toMatchObject([
    { state: 'warning', found: expect.stringContaining('next build deletes') },
  ]);
  expect(report(join(app, 'a.db'))).toEqual({ warnings: [] });
  expect(await doctor(join(app, 'a.db'))).toEqual([]);
}, 60_000);

describe('the default database', () => {
  const DATABASE = join('.workflow-data', 'hookline.db');
  const program = `require(${JSON.stringify(join(ROOT, 'dist', 'index.js'))})
    .createWorld().closeStream('s', 'wrun_s').then(() => process.exit())`;

  /** Writes to the default database of a working directory; returns its folder in the app. */
  async function folderOf(app: string, cwd: string, env: NodeJS.ProcessEnv = {}) {
    const { WORKFLOW_HOOKLINE_URL: _, ...inherited } = environment(env);
    mkdirSync(join(app, cwd), { recursive: true });
    const ended = await runNode(['-e', program], {
      cwd: join(app, cwd),
      env: { ...inherited, ...env },
    });
    expect(ended).toMatchObject({ code: 0 });
    const found = readdirSync(app, { recursive: true, encoding: 'utf8' });
    const files = found.filter((file) => file.endsWith('hookline.db'));
    return { folder: files.map((file) => file.slice(0, -DATABASE.length)), stderr: ended.stderr };
  }

  function newApp(...manifests: string[]) {
    const app = newFolder();
    for (const path of ['package.json', ...manifests]) {
      mkdirSync(join(app, path, '..'), { recursive: true });
      writeFileSync(join(app, path), '{}');
    }
    return app;
  }

  test.each([
    ['.output', ['.output/server/package.json']],
    ['.output/server', ['.output/server/package.json']],
    ['.next/standalone', ['.next/standalone/package.json']],
    ['.svelte-kit/output', []],
    ['dist', []],
    ['build/server', []],
  ])('of a server that runs in %s is in the folder of the app', async (cwd, manifests) => {
    expect(await folderOf(newApp(...manifests), cwd)).toEqual({ folder: [''], stderr: '' });
  });

  test.each([
    ['src', []],
    ['build/app', ['build/app/package.json']],
    ['dist/apps/api', ['dist/apps/api/package.json']],
  ])('is else in the working directory, as in %s', async (cwd, manifests) => {
    const { folder } = await folderOf(newApp(...manifests), cwd);
    expect(folder).toEqual([join(cwd, '/')]);
  });

  test('in a build folder without its app is in the working directory', async () => {
    expect(await folderOf(newFolder(), '.output')).toEqual({ folder: ['.output/'], stderr: '' });
  });

  test('a path that is set is relative to the working directory, and warned of', async () => {
    const env = { WORKFLOW_HOOKLINE_URL: DATABASE };
    const { folder, stderr } = await folderOf(newApp(), '.output', env);
    expect(folder).toEqual(['.output/']);
    expect(stderr).toContain('HOOKLINE_PLACE');
  });
});

test('the setting is local or any, as an option too', async () => {
  const bad = newWorld({ fileSystem: 'nfs' as 'any' });
  await expect(bad.closeStream('s', 'wrun_s')).rejects.toMatchObject({
    code: 'BAD_CONFIG',
    message: expect.stringContaining(
      'WORKFLOW_HOOKLINE_FILE_SYSTEM is "nfs", but must be local, any',
    ),
  });
  const any = createWorld({ url: newDatabase(), fileSystem: 'any' });
  await any.closeStream('s', 'wrun_s');
  await any.close();
});
