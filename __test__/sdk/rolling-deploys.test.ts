/** Both lines of the SDK share a database: each run goes to processes of its line. */
import { cleanUp, freshData, startApp } from './harness';
import { command, due, parked, statusOf } from './side-by-side';

const LIMIT_MS = 120_000;

afterEach(cleanUp);

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
