/** A resume is applied once, in commit order, even among many concurrent resumes. */

import { type App, cleanUp, freshData, SDKS, startApp, type Via } from './harness';

const MANY = 1000;
const LIMIT_MS = 180_000;
/** One for the start and one for the resume; on line 4 also one for the end of the step. */
const REPLAYS = { workflow: 3, 'workflow-5': 2 };
const numbers = Array.from({ length: MANY }, (_, n) => n);

afterAll(cleanUp);

describe.each(SDKS)('with the SDK %s', (sdk) => {
  let app: App;
  beforeAll(async () => {
    app = await startApp({ data: freshData(), sdk });
  }, 120_000);
  afterAll(() => app?.stop());

  describe.each(['sdk', 'hookline'] as const)('%s', (via) => {
    test(
      `${MANY} concurrent resumes of one hook all arrive, once each, in commit order`,
      async () => {
        const token = `one hook, ${via}`;
        const runId = await app.start('inbox', token);
        await app.hooksReady(token);
        await resumeAll(
          app,
          numbers.map((n) => ({ token, payload: { n } })),
          via,
        );
        await app.resume(via, token, { done: true });

        const seen = await app.result<number[]>(runId);
        expect([...seen].sort((a, b) => a - b)).toEqual(numbers);
        const committed = await app.ask<{ n?: number }[]>('received', { runId });
        expect(seen).toEqual(committed.flatMap(({ n }) => n ?? []));
        // The next replay delivers together the resumes that arrive during a replay.
        const replays = await app.ask<number>('replays', { name: token });
        expect(replays).toBeLessThan(MANY / 10);
      },
      LIMIT_MS,
    );

    test(
      `${MANY} different hooks resumed at once each get their own payload, once`,
      async () => {
        const tokenOf = (n: number) => `hook ${n}, ${via}`;
        const all = numbers.map((n) => [tokenOf(n)]);
        const runIds = await app.ask<string[]>('startMany', { workflow: 'inbox', all });
        await app.ask('hooksReady', { tokens: all.flat(), withinMs: LIMIT_MS });
        await resumeAll(
          app,
          numbers.map((n) => ({ token: tokenOf(n), payload: { n, done: true } })),
          via,
        );

        const results = await app.ask<number[][]>('results', { runIds });
        expect(results).toEqual(numbers.map((n) => [n]));
        const received = await Promise.all(
          runIds.slice(0, 50).map((runId) => app.ask<unknown[]>('received', { runId })),
        );
        expect(received.every((payloads) => payloads.length === 1)).toBe(true);
      },
      LIMIT_MS,
    );

    // `workflow/api` appends the event and then calls queue(): on our World the event's transaction
    // has enqueued the wake-up already, and the second one must not become a second delivery.
    test(
      'a resume is one event and one replay',
      async () => {
        const tokens = Array.from({ length: 50 }, (_, n) => `approval ${n}, ${via}`);
        const all = tokens.map((token) => [token, 'x']);
        const runIds = await app.ask<string[]>('startMany', { workflow: 'approval', all });
        await app.hooksReady(...tokens);
        for (const token of tokens) await app.resume(via, token, { approved: true, by: 'Ada' });
        await app.ask('results', { runIds });

        const replays = await Promise.all(tokens.map((name) => app.ask('replays', { name })));
        expect(replays).toEqual(tokens.map(() => REPLAYS[sdk]));
        for (const runId of runIds) {
          const events = await app.eventTypes(runId);
          expect(events.filter((type) => type === 'hook_received')).toHaveLength(1);
        }
      },
      LIMIT_MS,
    );
  });
});

async function resumeAll(
  app: App,
  all: { token: string; payload: object }[],
  via: Via,
): Promise<void> {
  const settled = await app.ask<{ error?: string }[]>('resumeMany', { via, all });
  expect(settled.filter((one) => one.error)).toEqual([]);
  expect(settled).toHaveLength(all.length);
}
