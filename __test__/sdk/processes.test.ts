/** One database, several processes, some of which die. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, freshData, SDKS, startApp, type Via } from './harness';

const LIMIT_MS = 120_000;
const VIAS: Via[] = ['sdk', 'hookline'];
const DECISION = { approved: true, by: 'Ada' };

afterEach(cleanUp);

describe.each(SDKS)('with the SDK %s', (sdk) => {
  test(
    'what a process starts and resumes that never called start() is executed by the worker',
    async () => {
      const data = freshData();
      const producer = await startApp({ data, sdk, role: 'producer' });
      const early = await producer.start('parallel', 3);
      const worker = await startApp({ data, sdk });
      await expect(worker.result(early)).resolves.toBe(5);
      for (const via of VIAS) {
        const token = `elsewhere by ${via}`;
        const runId = await worker.start('approval', token, 'invoice');
        await producer.hooksReady(token);
        await producer.resume(via, token, DECISION);
        await expect(worker.result(runId)).resolves.toMatchObject({ decision: DECISION });
        await expect(producer.ask('replays', { name: token })).resolves.toBe(0);
      }
    },
    LIMIT_MS,
  );

  test(
    'a run whose process is killed while it waits completes once after a restart',
    async () => {
      const data = freshData();
      const first = await startApp({ data, sdk });
      const runs = await Promise.all(VIAS.map((via) => first.start('approval', via, 'invoice')));
      await first.hooksReady(...VIAS);
      await first.kill();

      const second = await startApp({ data, sdk });
      for (const [n, via] of VIAS.entries()) {
        const runId = runs[n] as string;
        await second.resume(via, via, DECISION);
        await expect(second.result(runId)).resolves.toEqual({
          record: 'invoice: approved by Ada',
          decision: DECISION,
        });
        const events = await second.eventTypes(runId);
        for (const once of ['hook_received', 'step_completed', 'run_completed']) {
          expect(events.filter((type) => type === once)).toHaveLength(1);
        }
      }
    },
    LIMIT_MS,
  );

  test(
    'a resume that was acknowledged is not lost when the process is killed at once',
    async () => {
      const data = freshData();
      const first = await startApp({ data, sdk });
      const tokens = Array.from({ length: 40 }, (_, n) => `acknowledged ${n}`);
      const all = tokens.map((token) => [token, 'invoice']);
      const runIds = await first.ask<string[]>('startMany', { workflow: 'approval', all });
      await first.hooksReady(...tokens);
      const resumes = tokens.map((token) => ({ token, payload: DECISION }));
      await Promise.all([
        first.ask('resumeMany', { via: 'sdk', all: resumes.slice(0, 20) }),
        first.ask('resumeMany', { via: 'hookline', all: resumes.slice(20) }),
      ]);
      await first.kill();

      const second = await startApp({ data, sdk });
      const results = await second.ask<object[]>('results', { runIds });
      expect(results).toEqual(tokens.map(() => expect.objectContaining({ decision: DECISION })));
      for (const runId of runIds) {
        const events = await second.eventTypes(runId);
        expect(events.filter((type) => type === 'hook_received')).toHaveLength(1);
      }
    },
    LIMIT_MS,
  );

  test(
    'what a step streams is readable in another process before the step ends',
    async () => {
      const data = freshData();
      const [worker, reader] = await Promise.all([
        startApp({ data, sdk }),
        startApp({ data, sdk, role: 'producer' }),
      ]);
      const gate = join(data, 'gate');
      const runId = await worker.start('streaming', gate);
      const chunks = reader.stream(runId);
      await expect(chunks.next()).resolves.toEqual({ value: 'before the gate', done: false });

      // The step is still running: it waits for this file.
      writeFileSync(gate, '');
      await expect(chunks.next()).resolves.toEqual({ value: 'behind the gate', done: false });
      await expect(chunks.next()).resolves.toEqual({ value: undefined, done: true });
      await expect(worker.result(runId)).resolves.toBe('spoken');
      // The first that this package does in that process.
      const { value } = await reader.ask<{ value?: string }>('readable', {
        via: 'hookline',
        runId,
        options: {},
      });
      expect(value).toContain("chunks: [ 'before the gate', 'behind the gate' ]");
    },
    LIMIT_MS,
  );

  test(
    'messages delivered over HTTP, to the routes of the application, have the same result',
    async () => {
      const env = { WORKFLOW_HOOKLINE_DELIVERY: 'http' };
      const app = await startApp({ data: freshData(), sdk, env });
      const runId = await app.start('approval', 'by http', 'invoice');
      await app.hooksReady('by http');
      await app.resume('hookline', 'by http', DECISION);
      await expect(app.result(runId)).resolves.toMatchObject({ decision: DECISION });
    },
    LIMIT_MS,
  );
});
