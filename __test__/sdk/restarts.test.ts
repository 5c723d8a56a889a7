/** The only process goes away while its runs sleep, wait for a retry, and execute a long step. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../crash/harness';
import { cleanUp, freshData, SDKS, startApp } from './harness';

const LIMIT_MS = 120_000;

afterEach(cleanUp);

describe.each(SDKS)('with the SDK %s', (sdk) => {
  test(
    'a step whose process is killed begins once more, in the next process',
    async () => {
      const data = freshData();
      const bodies = join(data, 'bodies');
      const first = await startApp({ data, sdk });
      const runId = await first.start('cutOff', data);
      const hasBegun = () => existsSync(bodies) && readFileSync(bodies, 'utf8').endsWith('\n');
      await until('the step has begun', LIMIT_MS, hasBegun);
      await first.kill();
      writeFileSync(join(data, 'gate'), '');
      const second = await startApp({ data, sdk });
      expect(await second.result(runId)).toBe(second.pid);
      expect(readFileSync(bodies, 'utf8')).toBe(`${first.pid}\n${second.pid}\n`);
      const types = await second.eventTypes(runId);
      expect(types.filter((type) => type.startsWith('step_'))).toEqual([
        'step_created',
        'step_started',
        'step_started',
        'step_completed',
      ]);
    },
    LIMIT_MS,
  );

  test.each<['kill' | 'stop', string]>([
    ['kill', 'is killed'],
    ['stop', 'is asked to end'],
  ])(
    'sleeps, retries with a delay and long steps go on after the only process (%s) %s',
    async (how) => {
      const data = freshData();
      const gate = join(data, 'gate');
      const first = await startApp({ data, sdk });
      const sleeping = await first.start('race', 'nobody resumes this', '3s');
      const retrying = await first.start('retrying');
      const streaming = await first.start('streaming', gate);
      await first.ask('eventSeen', { runId: sleeping, type: 'wait_created' });
      await first.ask('eventSeen', { runId: retrying, type: 'step_retrying' });
      await first.ask('eventSeen', { runId: streaming, type: 'step_started' });
      if (how === 'stop') writeFileSync(gate, '');
      await first[how]();
      writeFileSync(gate, '');

      const second = await startApp({ data, sdk });
      const ends = [sleeping, retrying, streaming].map((runId) => second.result(runId));
      expect(await Promise.all(ends)).toEqual(['nobody answered', 3, 'spoken']);
      const completed = async (runId: string) =>
        (await second.eventTypes(runId)).filter((type) => type === 'step_completed').length;
      expect([await completed(retrying), await completed(streaming)]).toEqual([1, 1]);
      if (how === 'stop') {
        // The first process finished the long step, and no process began it again.
        const types = await second.eventTypes(streaming);
        expect(types.filter((type) => type === 'step_started')).toHaveLength(1);
      }
    },
    LIMIT_MS,
  );
});
