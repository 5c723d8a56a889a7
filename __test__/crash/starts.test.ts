/** Kills a process that starts runs, between any two steps of a start. */

import { databaseIn } from '../databases';
import { cleanUp, freshData, SDKS, startApp } from '../sdk/harness';
import {
  BUILD_LIMIT_MS,
  buildInspector,
  inspect,
  killAt,
  type Moment,
  type Random,
  withSeed,
} from './harness';

const KILLS = 15;
/** A commit takes less, so the kills are before, during and after it. */
const DURING_MS = 3;
/** The process kills itself. */
const BY_ITSELF: Moment = { afterMs: 60_000 };

beforeAll(buildInspector, BUILD_LIMIT_MS);
afterEach(cleanUp);

describe.each(SDKS)('with the SDK %s', (sdk) => {
  test(
    'kill -9 between any two steps of start leaves nothing, or a run that starts',
    withSeed(async (random) => {
      const data = freshData();
      const database = databaseIn(data);
      const acknowledged: string[] = [];
      const asked: string[] = [];
      for (let life = 0; life < KILLS; life += 1) {
        const lines = await killAt(BY_ITSELF, 'start-and-die', database, {
          ...plan(life, random),
          sdk,
        });
        acknowledged.push(...named(lines, 'ack'));
        asked.push(...named(lines, 'asked'));
        const { integrity, queued, gaps } = inspect(database);
        expect([integrity, gaps]).toEqual([['ok'], []]);
        // Each existing run has exactly one message, and there is no other message.
        expect(Object.values(queued).every((count) => count === 1)).toBe(true);
        expect(Object.keys(queued)).toEqual(expect.arrayContaining(acknowledged));
        expect([...acknowledged, ...asked]).toEqual(expect.arrayContaining(Object.keys(queued)));
      }
      const { queued, messages, events } = inspect(database);
      const runIds = Object.keys(queued);
      // A run has one event and one message, so none is without the other.
      expect([messages, events]).toEqual([runIds.length, runIds.length]);
      // Some of the kills came too early for the commit, some after it.
      expect(runIds.length).toBeGreaterThan(acknowledged.length - 1);
      expect(runIds.length).toBeLessThan(acknowledged.length + asked.length);

      const app = await startApp({ data, sdk });
      const results = await app.ask<unknown[][]>('results', { runIds });
      expect(results.every((values) => values.length === 1)).toBe(true);
    }),
    240_000,
  );
});

function plan(life: number, random: Random) {
  const moments = ['before', 'during', 'during', 'during', 'after'];
  return {
    before: life % 3,
    moment: moments[life % moments.length],
    spinMs: random() * DURING_MS,
  };
}

function named(lines: string[], word: string): string[] {
  return lines
    .filter((line) => line.startsWith(`${word} `))
    .map((line) => line.slice(word.length + 1));
}
