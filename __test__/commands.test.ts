/** Every command of `npx hookline`, on every store. What only a file has is in `cli.test.ts`. */
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { World } from 'hookline';
import { hooklineJson } from './command-line';
import {
  cleanUp,
  devalueString,
  newDatabase,
  newFolder,
  newHook,
  newRun,
  newWorld,
  ROOT,
} from './support';

afterAll(cleanUp);

const url = newDatabase();
const isFile = !url.includes('://');

const cli = (...args: string[]) =>
  hooklineJson(['--url', url, ...args], { env: { PORT: '', WORKFLOW_TARGET_WORLD: 'hookline' } });

let world: World;
let runId: string;

beforeAll(async () => {
  world = newWorld({ url });
  runId = await newRun(world, { workflowName: 'workflow//./orders//order' });
  await newHook(world, 'order-1', { runId, metadata: devalueString('first') });
});

/** What each command answers, in this order. */
const COMMANDS: [command: string, check: () => Promise<void>][] = [
  [
    'runs',
    async () => expect((await cli('runs', '--workflow', 'order')).value).toMatchObject([{ runId }]),
  ],
  [
    'hooks',
    async () =>
      expect((await cli('hooks', '--tokens', '--run', runId)).value).toMatchObject([
        { token: 'order-1', runId },
      ]),
  ],
  [
    'explain',
    async () =>
      expect((await cli('explain', runId)).value).toMatchObject({
        status: 'running',
        waitingFor: [{ kind: 'hook' }],
      }),
  ],
  [
    'resume',
    async () => {
      expect(await cli('resume', 'order-1', '{"n":1}')).toMatchObject({ value: { runId } });
      expect(await cli('resume', 'nobody', '{"n":1}')).toMatchObject({ code: 3 });
    },
  ],
  ['stats', async () => expect((await cli('stats')).value).toMatchObject({ messages: { due: 1 } })],
  ['dead', async () => expect(await cli('dead')).toMatchObject({ code: 0, value: [] })],
  ['held', async () => expect(await cli('held')).toMatchObject({ code: 0, value: [] })],
  [
    'redrive',
    async () => {
      expect(await cli('redrive', '--all')).toMatchObject({ code: 0, value: [] });
      expect(await cli('redrive', 'msg_01K00000000000000000000000')).toMatchObject({ code: 3 });
    },
  ],
  [
    'releases',
    async () =>
      expect((await cli('releases')).value).toMatchObject([
        { isRelease: false, neededBy: [{ runs: 1 }] },
      ]),
  ],
  ['gone', async () => expect(await cli('gone', 'no-such-release')).toMatchObject({ code: 3 })],
  [
    'adopt',
    async () => {
      const adopted = await cli('adopt', '--from', 'none', '--to', 'no-such-release', '--yes');
      expect(adopted).toMatchObject({ code: 3 });
    },
  ],
  [
    'backup',
    async () => {
      const file = join(newFolder(), 'backup.db');
      const said = await cli('backup', file);
      if (isFile) {
        expect(said).toMatchObject({ code: 0, value: { runs: 1 } });
        return;
      }
      expect(said).toMatchObject({ code: 1, stderr: expect.stringContaining('pg_dump -Fc -n') });
      expect(existsSync(file)).toBe(false);
    },
  ],
  [
    'doctor',
    async () => {
      const { value } = await cli('doctor');
      const of = (what: string) =>
        value.findings.find((finding: { what: string }) => finding.what === what);
      expect(of('Database')).toMatchObject({ state: 'good' });
      expect(of('Permissions')).toMatchObject({ state: 'good' });
      expect(of('Queue')).toMatchObject({ found: expect.stringContaining('1 due') });
      if (isFile) return;
      expect(of('Database').found).toMatch(/PostgreSQL \d+.*, role \w+, (no )?TLS.*ms away$/);
      expect(of('Database').found).toContain(new URL(url).host);
      expect(of('Notifications')).toBeDefined();
    },
  ],
  [
    'fail',
    async () => {
      const failed = await newRun(world);
      expect(await cli('fail', failed, '--message', 'no')).toMatchObject({ code: 0 });
      expect(await world.runs.get(failed)).toMatchObject({ error: { message: 'no' } });
    },
  ],
  [
    'cancel',
    async () => {
      const cancelled = await newRun(world);
      expect(await cli('cancel', cancelled)).toMatchObject({ value: { status: 'cancelled' } });
      const all = await cli('cancel', '--release', 'none', '--yes');
      expect(all).toMatchObject({ code: 0, value: { runs: expect.any(Number) } });
    },
  ],
  ['keygen', async () => expect(await cli('keygen')).toMatchObject({ code: 0 })],
  [
    'import',
    async () => {
      const nowhere = join(newFolder(), 'nowhere');
      expect(await cli('import', '--from', nowhere)).toMatchObject({ code: 3 });
    },
  ],
  ['move', async () => expect(await cli('move', '--to', url)).toMatchObject({ code: 1 })],
];

test.each(COMMANDS)('%s', async (_, check) => check());

test('no command is forgotten here, but init, which knows no database', () => {
  const main = readFileSync(join(ROOT, 'ts', 'cli', 'main.ts'), 'utf8');
  const names = [...main.matchAll(/\.command\('([a-z]+)/g)].map(([, name]) => name);
  const OTHERS = ['init', 'migrate'];
  expect(COMMANDS.map(([name]) => name).sort()).toEqual(
    names.filter((name) => !OTHERS.includes(name as string)).sort(),
  );
});

test('a worker is named with its process, and with its host where that is another one', async () => {
  const worker = newWorld({ url });
  worker.createQueueHandler('__wkf_step_', async () => undefined);
  await worker.start?.();
  const { value } = await cli('doctor');
  const found = value.findings.find(({ what }: { what: string }) => what === 'Workers')?.found;
  expect(found).toContain(`process ${process.pid}`);
  expect(found).not.toContain(hostname());
  await worker.close();
});
