/** `hookline move`, from a file to a database of the store of the tests, and from there to a file. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { CLI, hookline, hooklineJson } from './command-line';
import { cleanUp as endApps, startApp } from './sdk/harness';
import { cleanUp, newDatabase, newFolder, newHook, newRun, newWorld } from './support';

afterAll(endApps);
afterAll(cleanUp);

const newFile = () => join(newFolder(), 'hookline.db');

const move = (from: string, to: string) => hooklineJson(['--url', from, 'move', '--to', to]);

test('runs that wait for hooks, for time and for retries go on in the new place, and back in a file', async () => {
  const [file, there, back] = [newFile(), newDatabase(), newFile()];
  const appOn = (url: string) =>
    startApp({ data: newFolder(), env: { WORKFLOW_HOOKLINE_URL: url } });
  const first = await appOn(file);
  const waiting = await first.start('approval', 'waiting', 'a raise');
  const inbox = await first.start('inbox', 'letters');
  const asleep = await first.start('race', 'nobody resumes this', '3s');
  const retrying = await first.start('retrying');
  const ended = await first.start('parallel', 5);
  await first.hooksReady('waiting', 'letters');
  await first.resume('hookline', 'letters', { n: 1 });
  await first.ask('eventSeen', { runId: asleep, type: 'wait_created' });
  await first.ask('eventSeen', { runId: retrying, type: 'step_retrying' });
  const result = await first.result(ended);
  expect(await move(file, there)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('workers deliver from'),
  });
  await first.stop();

  const moved = await move(file, there);
  expect(moved).toMatchObject({ code: 0, value: { from: file } });
  const rows = (name: string) =>
    moved.value.tables.find(({ table }: { table: string }) => table === name).rows;
  expect([rows('runs'), rows('hooks') > 0, rows('steps') > 0]).toEqual([5, true, true]);
  const again = newWorld({ url: file });
  await expect(again.runs.list({})).rejects.toMatchObject({
    code: 'MOVED',
    message: expect.stringContaining(moved.value.to),
  });

  const second = await appOn(there);
  expect(await second.result(ended)).toEqual(result);
  await second.resume('hookline', 'waiting', { approved: true, by: 'Ada' });
  expect(await second.result(waiting)).toMatchObject({ record: 'a raise: approved by Ada' });
  expect(await second.result(asleep)).toBe('nobody answered');
  expect(await second.result(retrying)).toBe(3);
  await second.resume('hookline', 'letters', { n: 2 });
  await second.stop();

  expect((await move(there, back)).code).toBe(0);
  const third = await appOn(back);
  await third.resume('hookline', 'letters', { n: 3, done: true });
  expect(await third.result(inbox)).toEqual([1, 2, 3]);
  await third.stop();
}, 120_000);

test('a move that is killed at any moment is repeated without harm', async () => {
  const [file, there] = [newFile(), newDatabase()];
  const world = newWorld({ url: file });
  const runs = await Promise.all(Array.from({ length: 300 }, () => newRun(world)));
  await Promise.all(runs.map((runId, n) => newHook(world, `token-${n}`, { runId })));
  await world.close();
  for (const afterMs of [100, 250, 400, 600]) {
    const args = [CLI, '--url', file, 'move', '--to', there];
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    const killing = pause(afterMs).then(() => child.kill('SIGKILL'));
    await Promise.all([once(child, 'exit'), killing]);
  }
  const moved = await move(file, there);
  expect(moved).toMatchObject({ code: 0 });
  const here = newWorld({ url: there });
  for (const n of [0, 150, 299]) {
    expect(await here.hooks.getByToken(`token-${n}`)).toMatchObject({ runId: runs[n] });
  }
}, 60_000);

test('a place that holds other runs is refused, and one without a database is named', async () => {
  const [file, other] = [newFile(), newDatabase()];
  await newRun(newWorld({ url: file }));
  await newRun(newWorld({ url: other }));
  expect(await move(file, other)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('other runs'),
  });
  expect(await move(newFile(), other)).toMatchObject({ code: 3 });
  expect(await move(file, 'mysql://x')).toMatchObject({ code: 1 });
});

test('no message shows the password of a URL', async () => {
  const nowhere = 'postgres://me:secret@127.0.0.1:1/x';
  const file = newFile();
  await newRun(newWorld({ url: file }));
  const said = await Promise.all([
    move(nowhere, file),
    move(file, nowhere),
    hookline(['--url', nowhere, 'runs']),
    hookline(['--url', nowhere, 'doctor']),
  ]);
  for (const it of said) {
    expect(it.code).not.toBe(0);
    expect(JSON.stringify(it)).not.toContain('secret');
  }
});
