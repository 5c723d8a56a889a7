/** One database, several processes, some of which die. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp, freshData, startApp, type Via } from './harness';

const LIMIT_MS = 120_000;
const VIAS: Via[] = ['sdk', 'hookline'];
const DECISION = { approved: true, by: 'Ada' };

afterEach(cleanUp);

test.each(VIAS)(
  'a resume in a process that never called start() is delivered by the worker, by %s',
  async (via) => {
    const data = freshData();
    const [worker, producer] = await Promise.all([
      startApp({ data }),
      startApp({ data, role: 'producer' }),
    ]);
    const runId = await worker.start('approval', 'elsewhere', 'invoice');
    await producer.hooksReady('elsewhere');
    await producer.resume(via, 'elsewhere', DECISION);
    await expect(worker.result(runId)).resolves.toMatchObject({ decision: DECISION });
    await expect(producer.ask('replays', { name: 'elsewhere' })).resolves.toBe(0);
  },
  LIMIT_MS,
);

test(
  'a run started in a process that never called start() is executed by the worker',
  async () => {
    const data = freshData();
    const producer = await startApp({ data, role: 'producer' });
    const runId = await producer.start('parallel', 3);
    const worker = await startApp({ data });
    await expect(worker.result(runId)).resolves.toBe(5);
  },
  LIMIT_MS,
);

test.each(VIAS)(
  'a run whose process is killed while it waits completes once after a restart, by %s',
  async (via) => {
    const data = freshData();
    const first = await startApp({ data });
    const runId = await first.start('approval', 'survivor', 'invoice');
    await first.hooksReady('survivor');
    await first.kill();

    const second = await startApp({ data });
    await second.resume(via, 'survivor', DECISION);
    await expect(second.result(runId)).resolves.toEqual({
      record: 'invoice: approved by Ada',
      decision: DECISION,
    });
    const events = await second.eventTypes(runId);
    for (const once of ['hook_received', 'step_completed', 'run_completed']) {
      expect(events.filter((type) => type === once)).toHaveLength(1);
    }
  },
  LIMIT_MS,
);

test.each(VIAS)(
  'a resume that was acknowledged is not lost when the process is killed at once, by %s',
  async (via) => {
    const data = freshData();
    const first = await startApp({ data });
    const tokens = Array.from({ length: 20 }, (_, n) => `acknowledged ${n}`);
    const all = tokens.map((token) => [token, 'invoice']);
    const runIds = await first.ask<string[]>('startMany', { workflow: 'approval', all });
    await first.hooksReady(...tokens);
    const resumes = tokens.map((token) => ({ token, payload: DECISION }));
    await first.ask('resumeMany', { via, all: resumes });
    await first.kill();

    const second = await startApp({ data });
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
      startApp({ data }),
      startApp({ data, role: 'producer' }),
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
  },
  LIMIT_MS,
);

test(
  'messages delivered over HTTP, to the routes of the application, have the same result',
  async () => {
    const env = { WORKFLOW_HOOKLINE_DELIVERY: 'http' };
    const app = await startApp({ data: freshData(), env });
    const runId = await app.start('approval', 'by http', 'invoice');
    await app.hooksReady('by http');
    await app.resume('hookline', 'by http', DECISION);
    await expect(app.result(runId)).resolves.toMatchObject({ decision: DECISION });
  },
  LIMIT_MS,
);
