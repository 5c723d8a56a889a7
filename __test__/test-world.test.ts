/** Errors of `createTestWorld()`, and Worlds that another World has replaced. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { resumeHook, TimeLimitError, WorkflowWorldError, waitForHook } from 'hookline';
import { createTestWorld, type TestWorld } from 'hookline/testing';
import { cleanUp, newFolder, ROOT, runNode } from './support';

let last: TestWorld | undefined;

/** As `createTestWorld()`; closed after the test. */
function newTestWorld(options?: Parameters<typeof createTestWorld>[0]): TestWorld {
  last = createTestWorld(options);
  return last;
}

afterEach(async () => {
  await last?.close();
  await cleanUp();
});

const CLOSED = { name: 'WorkflowWorldError', code: 'CLOSED' };

test('a time that is none is refused, and the World that was there stays', async () => {
  const world = newTestWorld();
  await world.seedHook({ token: 'kept' });
  expect(() => createTestWorld({ now: 'garbage' })).toThrow('now must be a date.');
  await resumeHook('kept', 1);
  expect(await world.resumes()).toMatchObject([{ token: 'kept', payload: 1 }]);
});

test.each(['', ' ', 'soon', '9'.repeat(101), -1, Number.NaN, Number.POSITIVE_INFINITY])(
  'time is not moved by %j',
  async (duration) => {
    const world = newTestWorld({ now: '2030-01-01' });
    await expect(world.advance(duration)).rejects.toMatchObject({
      name: 'WorkflowWorldError',
      code: 'INVALID',
      message: expect.stringContaining("'30s'"),
    });
    expect(world.now().getFullYear()).toBe(2030);
  },
);

test('who waits with a World that is replaced is told, though it was still opening', async () => {
  newTestWorld();
  const waiting = waitForHook('nobody');
  newTestWorld();
  await expect(waiting).rejects.toMatchObject(CLOSED);
});

test('a World waits for hooks of its own, also when another has taken its place', async () => {
  const world = newTestWorld();
  const told = expect(world.waitForHook('token')).rejects.toMatchObject(CLOSED);
  const next = newTestWorld();
  await next.seedHook({ token: 'token' });
  await told;
});

test('a wait of the World that ends leaves those of the app alone', async () => {
  const world = newTestWorld();
  const ofTheApp = [waitForHook('of the app'), waitForHook('of the app')];
  const limited = Array.from({ length: 3 }, () => world.waitForHook('nobody', { timeout: 1 }));
  for (const wait of limited) await expect(wait).rejects.toBeInstanceOf(TimeLimitError);
  const { hookId } = await world.seedHook({ token: 'of the app' });
  expect(await Promise.all(ofTheApp)).toMatchObject([{ hookId }, { hookId }]);
});

test('what a World for tests throws is of the classes of the package', async () => {
  const world = newTestWorld();
  await expect(world.advance('soon')).rejects.toBeInstanceOf(WorkflowWorldError);
  await expect(world.failCommit(0)).rejects.toBeInstanceOf(WorkflowWorldError);
});

// Some of these orders once kept a process alive; the others add variety.
test.each([18, 31, 33, 34, 37, 46, 72, 76, 85, 88, 1, 2])(
  'Worlds in the order that the seed %i gives keep no process alive',
  async (seed) => {
    const script = join(ROOT, '__test__', 'environments', 'test-worlds.mjs');
    const folder = newFolder();
    const ended = await runNode([script, String(seed)], { cwd: folder });
    expect(ended).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^END$/m) });
    expect(readdirSync(folder)).toEqual([]);
  },
  90_000,
);
