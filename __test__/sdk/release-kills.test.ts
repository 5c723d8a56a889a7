/** Two releases share a database, and their processes are killed again and again. */
import { setTimeout as pause } from 'node:timers/promises';
import { withSeed } from '../crash/harness';
import { cleanUp, freshData, SDKS, type Sdk, startApp } from './harness';
import { release } from './side-by-side';

const LIMIT_MS = 240_000;
const RUNS = 30;
const KILLS = 4;
/** A killed process lives for so long at most. */
const LIFE_MS = 2500;

afterEach(cleanUp);

describe.each(SDKS)('with the SDK %s', (sdk) => {
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
    LIMIT_MS,
  );
});

/** Resumes each token once, from a process of neither release. */
async function resumeAll(data: string, sdk: Sdk, tokens: string[]): Promise<void> {
  const producer = await startApp({ data, sdk, role: 'producer' });
  for (const [n, token] of tokens.entries()) {
    await producer.resume('hookline', token, { n });
    await pause(LIFE_MS / tokens.length);
  }
  await producer.stop();
}
