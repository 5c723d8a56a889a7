/** Releases that set an id share a database: each run goes to the release that started it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, freshData, type Sdk, startApp } from './harness';
import { command, due, parked, release, type Signed, statusOf } from './side-by-side';

const LIMIT_MS = 120_000;

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

/** What must hold of releases on each line; each line has a file, so that they run at once. */
export function releaseStories(sdk: Sdk): void {
  afterEach(cleanUp);

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
        /waits for a worker \(no process of release a on line \d of the SDK lives/,
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
    'an adopted run whose creator died before it was created runs on the other release',
    async () => {
      const data = freshData();
      const old = await startApp({
        data,
        sdk,
        role: 'producer',
        env: { WORKFLOW_HOOKLINE_DEPLOYMENT_ID: 'a' },
      });
      const runId = await old.ask<string>('startHalfway', { workflow: 'signed', args: ['half'] });
      await old.kill();
      const current = await release(data, 'b', sdk);
      expect(await json(data, 'adopt', '--from', 'a', '--to', 'b', '--yes')).toMatchObject({
        runs: 1,
      });
      await current.hooksReady('half');
      await current.resume('sdk', 'half', { n: 8 });
      expect(await current.result(runId)).toEqual({ before: 'b', n: 8, after: 'b' });
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
    'a health check of a release is answered by its process, and says so when there is none',
    async () => {
      const data = freshData();
      const old = await release(data, 'a', sdk);
      const current = await release(data, 'b', sdk);
      const check = (options: object) => current.ask('health', { deploymentId: 'a', ...options });
      expect(await check({})).toMatchObject({ healthy: true });
      await old.stop();
      expect(await check({ timeout: 500 })).toEqual({
        healthy: false,
        error: 'Health check timed out after 500ms',
      });
      await json(data, 'gone', 'a');
      expect(await check({})).toEqual({
        healthy: false,
        error: expect.stringMatching(/^release "a" is gone/),
      });
      const back = await release(data, 'a', sdk);
      expect(await check({})).toMatchObject({ healthy: true });
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
}
