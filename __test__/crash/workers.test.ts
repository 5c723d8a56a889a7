/** A process that executes real workflows is killed again and again while others depend on it. */

import { databaseIn } from '../databases';
import { type App, cleanUp, freshData, SDKS, startApp } from '../sdk/harness';
import {
  BUILD_LIMIT_MS,
  buildInspector,
  inspect,
  linesOf,
  pause,
  repeated,
  spawnProcess,
  until,
  withSeed,
} from './harness';

const LIMIT_MS = 120_000;
const APPROVALS = Array.from({ length: 30 }, (_, n) => `approval-${n}`);

beforeAll(buildInspector, BUILD_LIMIT_MS);
afterEach(cleanUp);

describe.each(SDKS)('with the SDK %s', (sdk) => {
  test(
    'a run whose worker is killed in a stream of resumes gets every payload once, in commit order',
    withSeed(async (random) => {
      const data = freshData();
      let app = await startApp({ data, sdk });
      const runId = await app.start('inbox', 'inbox');
      const all = APPROVALS.map((token) => [token, 'invoice']);
      const approvals = await app.ask<string[]>('startMany', { workflow: 'approval', all });
      await app.hooksReady('inbox', ...APPROVALS);

      const database = databaseIn(data);
      const producer = spawnProcess('produce', database, { inbox: 'inbox', approvals: APPROVALS });
      const lines = linesOf(producer);
      for (let kills = 0; kills < 5; kills += 1) {
        await pause(random() * 500);
        await app.kill();
        await pause(random() * 50);
        app = await startApp({ data, sdk });
      }
      producer.stdin?.end();
      await until('the producer ends', 20_000, () => lines.at(-1) === 'end');
      await app.resume('hookline', 'inbox', { done: true });

      const seen = await app.result<number[]>(runId);
      const committed = await app.ask<{ n?: number }[]>('received', { runId });
      expect(seen).toEqual(committed.flatMap(({ n }) => n ?? []));
      const acknowledged = lines.flatMap((line) => /^ack (\d+)$/.exec(line)?.[1] ?? []).map(Number);
      expect(acknowledged.length).toBeGreaterThan(100);
      expect([...seen].sort((a, b) => a - b)).toEqual(acknowledged.sort((a, b) => a - b));

      const decision = { approved: true, by: 'Ada' };
      const results = await app.ask<object[]>('results', { runIds: approvals });
      expect(results).toEqual(
        APPROVALS.map(() => ({ record: 'invoice: approved by Ada', decision })),
      );
      for (const id of approvals) await expectOnce(app, id);
      await app.stop();
      expect(inspect(database)).toMatchObject({ integrity: ['ok'], gaps: [], queued: {} });
    }),
    LIMIT_MS,
  );

  test(
    'a run whose start was acknowledged runs to its end though the starting process is killed',
    withSeed(async (random) => {
      const data = freshData();
      const acknowledged: string[] = [];
      for (let life = 0; life < 4; life += 1) {
        const app = await startApp({ data, sdk });
        let killed = false;
        const lanes = Array.from({ length: 6 }, async () => {
          // A request without an answer, because the process was killed, was not acknowledged.
          while (!killed)
            await app.start('parallel', 3).then((id) => acknowledged.push(id), giveUp);
        });
        const before = acknowledged.length;
        await until('a start is acknowledged', 10_000, () => acknowledged.length > before);
        await pause(random() * 150);
        killed = true;
        await app.kill();
        await Promise.all(lanes);
      }
      const app = await startApp({ data, sdk });
      expect(repeated(acknowledged)).toEqual([]);
      const results = await app.ask<number[]>('results', { runIds: acknowledged });
      expect(results).toEqual(acknowledged.map(() => 5));
      for (const runId of acknowledged) {
        const ends = (await app.eventTypes(runId)).filter((type) => type === 'run_completed');
        expect(ends).toHaveLength(1);
      }
      await app.stop();
      expect(inspect(databaseIn(data))).toMatchObject({ integrity: ['ok'], gaps: [] });
    }),
    LIMIT_MS,
  );
});

async function expectOnce(app: App, runId: string): Promise<void> {
  const types = await app.eventTypes(runId);
  for (const once of ['run_created', 'hook_created', 'hook_received', 'step_completed']) {
    expect(types.filter((type) => type === once)).toEqual([once]);
  }
  expect(types.filter((type) => type === 'run_completed')).toHaveLength(1);
}

function giveUp(error: Error): void {
  if (error.name !== 'TypeError') throw error; // fetch says so when the other end has gone
}
