/**
 * Releases that set an id share a database: each run goes to the release that started it. And both
 * lines of the SDK share one: each run goes to processes of its line.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { withSeed } from '../crash/harness';
import { databaseIn } from '../databases';
import { ROOT, runNode } from '../support';
import { type App, type AppOptions, cleanUp, freshData, startApp } from './harness';

const LIMIT_MS = 120_000;
const LINES = ['workflow', 'workflow-5'] as const;
const RUNS = 30;
const KILLS = 4;
/** A killed process lives for so long at most. */
const LIFE_MS = 2500;

type Sdk = NonNullable<AppOptions['sdk']>;
type Signed = { before: string; n: number; after: string };

afterEach(cleanUp);

function release(data: string, id: string, sdk: Sdk = 'workflow'): Promise<App> {
  return startApp({ data, sdk, env: { WORKFLOW_HOOKLINE_DEPLOYMENT_ID: id } });
}

/** What a command of `npx hookline` prints, and how it ends. */
async function command(data: string, ...args: string[]) {
  const env = { WORKFLOW_HOOKLINE_URL: databaseIn(data) };
  return runNode([join(ROOT, 'dist/cli.js'), ...args], { env });
}

async function json<T>(data: string, ...args: string[]): Promise<T> {
  return JSON.parse((await command(data, ...args, '--json')).stdout);
}

interface Shown {
  release: string;
  isRelease: boolean;
  goneAt?: string;
  processes: number[];
  runs: { running: number; parked: number };
  neededBy: { workflow: string; line: number; runs: number; hasProcess: boolean }[];
}

async function shown(data: string, id: string): Promise<Shown | undefined> {
  return (await json<Shown[]>(data, 'releases')).find((it) => it.release === id);
}

/** Starts a run that waits for its hook. */
async function parked(app: App, token: string): Promise<string> {
  const runId = await app.start('signed', token);
  await app.hooksReady(token);
  return runId;
}

const due = (app: App) =>
  app.ask<{ messages: { due: number; parked: number } }>('stats').then(({ messages }) => messages);

describe.each(LINES)('with releases, on %s', (sdk) => {
  test(
    'each run is executed by the release that started it, whoever resumes it',
    async () => {
      const data = freshData();
      const [old, current] = await Promise.all([release(data, 'a', sdk), release(data, 'b', sdk)]);
      const runs = { a: await parked(old, 'of a'), b: await parked(current, 'of b') };
      await current.resume('hookline', 'of a', { n: 1 });
      await old.resume('sdk', 'of b', { n: 2 });
      expect(await current.result<Signed>(runs.a)).toEqual({ before: 'a', n: 1, after: 'a' });
      expect(await old.result<Signed>(runs.b)).toEqual({ before: 'b', n: 2, after: 'b' });
      await Promise.all([old.stop(), current.stop()]);
    },
    LIMIT_MS,
  );

  test.each(['sdk', 'hookline'] as const)(
    "a run that is started for the latest release, or for a named one, goes there, by %s's start",
    async (via) => {
      const data = freshData();
      const old = await release(data, 'a', sdk);
      const current = await release(data, 'b', sdk);
      const startFor = async (deploymentId: string) => {
        const token = `for ${deploymentId}`;
        const options = { deploymentId };
        const asked = { via, workflow: 'signed', args: [token], options };
        const { runId, error } = await old.ask<{ runId: string; error: unknown }>(
          'startViaArgs',
          asked,
        );
        expect(error).toBeUndefined();
        await old.hooksReady(token);
        await old.resume('hookline', token, { n: 1 });
        return (await old.result<Signed>(runId)).after;
      };
      expect(await startFor('latest')).toBe('b');
      expect(await startFor('a')).toBe('a');
      await current.stop();
      expect(await startFor('latest')).toBe('a');
      await old.stop();
    },
    LIMIT_MS,
  );

  test(
    'messages of a release without a process wait, are shown, and are answered when it is back',
    async () => {
      const data = freshData();
      const old = await release(data, 'a', sdk);
      const runId = await parked(old, 'waits');
      await old.stop();
      const current = await release(data, 'b', sdk);
      await current.resume('sdk', 'waits', { n: 1 });
      const own = await parked(current, 'own');
      expect(await due(current)).toMatchObject({ due: 0, parked: 1 });
      expect(await shown(data, 'a')).toMatchObject({
        isRelease: true,
        processes: [],
        runs: { running: 1, parked: 0 },
        neededBy: [{ line: sdk === 'workflow' ? 4 : 5, runs: 1, hasProcess: false }],
      });
      expect(await shown(data, 'b')).toMatchObject({
        processes: [current.pid],
        runs: { running: 0, parked: 1 },
      });
      expect((await command(data, 'doctor')).stdout).toMatch(/1 run needs release a on line \d/);
      expect((await command(data, 'explain', runId)).stdout).toMatch(
        /waits for a worker \(no process of release a on line \d of the SDK lives on this host/,
      );
      expect((await command(data, 'explain', own)).stdout).not.toMatch(/no process of/);
      const back = await release(data, 'a', sdk);
      expect(await back.result<Signed>(runId)).toEqual({ before: 'a', n: 1, after: 'a' });
      expect(await back.eventTypes(runId)).toContain('run_completed');
      expect((await command(data, 'doctor')).stdout).not.toMatch(/needs release/);
      await Promise.all([current.stop(), back.stop()]);
    },
    LIMIT_MS,
  );

  test(
    'an adopted run is continued by the other release, its waiting steps too',
    async () => {
      const data = freshData();
      const gate = join(data, 'gate');
      const old = await release(data, 'a', sdk);
      const waiting = await parked(old, 'adopted');
      const many = await old.start('signedByMany', gate);
      await old.ask('eventSeen', { runId: many, type: 'step_started', count: 3 });
      await old.kill();
      writeFileSync(gate, '');
      const current = await release(data, 'b', sdk);
      const refused = await command(data, 'adopt', '--from', 'a', '--to', 'b');
      expect(refused.code).toBe(2);
      expect(refused.stdout).toMatch(/2 runs of release a .*\nThe code of b must fit them/);
      const typo = await command(data, 'adopt', '--from', 'a', '--to', 'typo', '--yes');
      expect(typo).toMatchObject({ code: 3, stderr: expect.stringMatching(/"typo"/) });
      const adopted = await json<{ runs: number }>(
        data,
        'adopt',
        '--from',
        'a',
        '--to',
        'b',
        '--yes',
      );
      expect(adopted).toEqual({ from: 'a', to: 'b', runs: 2 });
      await current.resume('sdk', 'adopted', { n: 7 });
      expect(await current.result(waiting)).toEqual({ before: 'a', n: 7, after: 'b' });
      expect(await current.result(many)).toEqual(Array.from({ length: 6 }, () => 'b'));
      await current.stop();
    },
    LIMIT_MS,
  );

  test(
    'what is sent to a release that is gone is refused, until the release is back',
    async () => {
      const data = freshData();
      const old = await release(data, 'a', sdk);
      const runId = await parked(old, 'gone');
      const alive = await command(data, 'gone', 'a');
      expect(alive).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/process \d+ is of it/),
      });
      await old.stop();
      const current = await release(data, 'b', sdk);
      expect(await json(data, 'gone', 'a')).toEqual({ release: 'a', runs: 1 });
      for (const via of ['sdk', 'hookline'] as const) {
        await expect(current.resume(via, 'gone', { n: 1 })).rejects.toThrow(/release "a" is gone/);
      }
      expect(await current.eventTypes(runId)).not.toContain('hook_received');
      const back = await release(data, 'a', sdk);
      await current.resume('sdk', 'gone', { n: 2 });
      expect(await back.result(runId)).toEqual({ before: 'a', n: 2, after: 'a' });
      await Promise.all([current.stop(), back.stop()]);
    },
    LIMIT_MS,
  );

  test(
    'the runs that a release leaves are cancelled together',
    async () => {
      const data = freshData();
      const old = await release(data, 'a', sdk);
      const runs = await Promise.all(['one', 'two', 'three'].map((token) => parked(old, token)));
      await old.stop();
      const current = await release(data, 'b', sdk);
      const own = await parked(current, 'own');
      await current.resume('sdk', 'one', { n: 1 });
      expect((await command(data, 'cancel', '--release', 'a')).code).toBe(2);
      const cancelled = await json(data, 'cancel', '--release', 'a', '--yes');
      expect(cancelled).toEqual({ release: 'a', runs: 3 });
      const statuses = await Promise.all([...runs, own].map((runId) => statusOf(current, runId)));
      expect(statuses).toEqual(['cancelled', 'cancelled', 'cancelled', 'running']);
      expect(await due(current)).toMatchObject({ due: 0, parked: 0 });
      await current.stop();
    },
    LIMIT_MS,
  );

  test(
    'a release that gets SIGTERM ends what it has begun',
    async () => {
      const data = freshData();
      const gate = join(data, 'gate');
      const old = await release(data, 'a', sdk);
      const current = await release(data, 'b', sdk);
      const runId = await old.start('signedByMany', gate);
      await current.ask('eventSeen', { runId, type: 'step_started', count: 3 });
      const stopped = old.stop();
      writeFileSync(gate, '');
      await stopped;
      const completed = (await current.eventTypes(runId)).filter((it) => it === 'step_completed');
      expect(completed.length).toBeGreaterThanOrEqual(3);
      const back = await release(data, 'a', sdk);
      expect(await back.result(runId)).toEqual(Array.from({ length: 6 }, () => 'a'));
      await Promise.all([current.stop(), back.stop()]);
    },
    LIMIT_MS,
  );

  test(
    'kills of either release lose no run, and answer none twice',
    withSeed(async (random) => {
      const data = freshData();
      const apps = { a: await release(data, 'a', sdk), b: await release(data, 'b', sdk) };
      const tokens = Array.from({ length: RUNS }, (_, n) => `token ${n}`);
      const idOf = (n: number) => (n % 2 === 0 ? 'a' : 'b');
      const runs = await Promise.all(
        tokens.map((token, n) => apps[idOf(n)].start('signed', token)),
      );
      await apps.a.hooksReady(...tokens);
      const resumed = resumeAll(data, sdk, tokens);
      for (let kill = 0; kill < KILLS; kill++) {
        await pause(random() * LIFE_MS);
        const id = random() < 0.5 ? 'a' : 'b';
        await apps[id].kill();
        apps[id] = await release(data, id, sdk);
      }
      await resumed;
      const results = await Promise.all(runs.map((runId, n) => apps[idOf(n)].result(runId)));
      expect(results).toEqual(tokens.map((_, n) => ({ before: idOf(n), n, after: idOf(n) })));
      for (const runId of runs) {
        const types = await apps.a.eventTypes(runId);
        for (const once of ['hook_received', 'run_completed']) {
          expect(types.filter((type) => type === once)).toHaveLength(1);
        }
      }
      await Promise.all([apps.a.stop(), apps.b.stop()]);
    }),
    2 * LIMIT_MS,
  );
});

async function statusOf(app: App, runId: string): Promise<string> {
  return (await app.ask<{ status: string }>('run', { runId })).status;
}

/** Resumes each token once, from a process of neither release. */
async function resumeAll(data: string, sdk: Sdk, tokens: string[]): Promise<void> {
  const producer = await startApp({ data, sdk, role: 'producer' });
  for (const [n, token] of tokens.entries()) {
    await producer.resume('hookline', token, { n });
    await pause(LIFE_MS / tokens.length);
  }
  await producer.stop();
}

test.each([
  ['workflow', 'workflow-5'],
  ['workflow-5', 'workflow'],
] as const)(
  'a rolling deploy from %s to %s: each run ends on its line, and waits unharmed without it',
  async (before, after) => {
    const data = freshData();
    const old = await startApp({ data, sdk: before });
    const first = await parked(old, 'first');
    const second = await parked(old, 'second');
    const current = await startApp({ data, sdk: after });
    const fresh = await parked(current, 'fresh');
    for (const [n, token] of ['first', 'fresh'].entries()) {
      await (n === 0 ? current : old).resume('hookline', token, { n });
    }
    const none = { before: 'none', after: 'none' };
    expect(await old.result(first)).toEqual({ ...none, n: 0 });
    expect(await current.result(fresh)).toEqual({ ...none, n: 1 });
    await old.stop();
    await current.resume('hookline', 'second', { n: 2 });
    expect(await due(current)).toMatchObject({ due: 0, parked: 1 });
    expect((await command(data, 'doctor')).stdout).toMatch(/1 run needs line \d of the SDK/);
    expect(await statusOf(current, second)).toBe('running');
    const back = await startApp({ data, sdk: before });
    expect(await back.result(second)).toEqual({ ...none, n: 2 });
    await Promise.all([current.stop(), back.stop()]);
  },
  LIMIT_MS,
);
