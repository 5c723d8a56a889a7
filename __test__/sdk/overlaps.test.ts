/**
 * What happens to a run while one of its steps runs, on each line of the SDK. Gates in the steps
 * decide what comes first, so that no test depends on a time.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../crash/harness';
import { type App, cleanUp, freshData, SDKS, startApp } from './harness';

const LIMIT_MS = 30_000;
const WAKE_EVERY_MS = 60;

afterAll(cleanUp);

describe.each(SDKS)('with the SDK %s', (sdk) => {
  let app: App;
  let folder: string;
  beforeAll(async () => {
    app = await startApp({ data: freshData(), sdk });
  }, 120_000);
  beforeEach(() => {
    folder = freshData();
  });
  afterAll(() => app?.stop());

  const begun = (name: string) =>
    until(`step ${name}`, LIMIT_MS, () => existsSync(join(folder, `begun-${name}`)));
  const open = (name: string) => writeFileSync(join(folder, `gate-${name}`), '');

  test('a sleep that ends while a step runs wins the race', async () => {
    const runId = await app.start('stepOrSleep', folder);
    await begun('step');
    expect(await app.result(runId)).toBe('sleep');
    open('step');
  });

  test('a hook is heard while a step runs', async () => {
    const runId = await app.start('stepOrHook', 'raced', folder);
    await begun('step');
    await app.resume('sdk', 'raced', 'hook');
    await begun('next');
    open('next');
    open('step');
    expect(await app.result(runId)).toEqual(['hook', 'next', 'step']);
  });

  test('six steps of a run are under way together', async () => {
    const names = ['1', '2', '3', '4', '5', '6'];
    const runId = await app.start('fanOut', folder, names);
    for (const name of names) await begun(name);
    for (const name of names) open(name);
    expect(await app.result(runId)).toEqual(names);
  });

  test('five resumes at once are heard in order, each once', async () => {
    const runId = await app.start('inbox', 'five');
    await app.hooksReady('five');
    const all = [1, 2, 3, 4].map((n) => ({ token: 'five', payload: { n } }));
    await app.ask('resumeMany', { via: 'sdk', all });
    await app.resume('sdk', 'five', { n: 5, done: true });
    const heard = await app.result<number[]>(runId);
    expect(heard).toEqual(
      (await app.ask<{ n: number }[]>('received', { runId })).map(({ n }) => n),
    );
    expect(heard.toSorted()).toEqual([1, 2, 3, 4, 5]);
  });

  test('wake-ups during steps run no body twice', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const workflow = 'oneByOne';
    const runId = await app.start(workflow, folder, names);
    let ended = false;
    const waking = (async () => {
      for (; !ended; await pause(WAKE_EVERY_MS)) await app.ask('wake', { workflow, runId });
    })();
    const result = await app.result(runId).finally(() => {
      ended = true;
    });
    await waking;
    expect(result).toEqual(names);
    expect(readFileSync(join(folder, 'bodies'), 'utf8').trim().split('\n')).toEqual(names);
    const types = await app.eventTypes(runId);
    for (const type of ['step_created', 'step_started', 'step_completed']) {
      expect(types.filter((one) => one === type)).toHaveLength(names.length);
    }
  });
});
