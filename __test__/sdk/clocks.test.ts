/** Hosts whose clocks are minutes apart, on one Postgres database, whose own clock counts. */
import { testOfPostgres } from '../support';
import { type App, cleanUp, freshData, SDKS, startApp } from './harness';

/** Less than the differences of the clocks, so that nothing is late by one. */
const LIMIT_MS = 120_000;
const CLOCKS = ['+300s', '+0s', '-300s'];
/** A host computes the end of a sleep a moment before the sleep is logged. */
const MOMENT_MS = 500;

afterEach(cleanUp);

/** Lets a process believe in another time. The time that elapses stays the same. */
function withClock(offset: string): Record<string, string> {
  return {
    LD_PRELOAD: '/usr/$LIB/faketime/libfaketime.so.1',
    FAKETIME: offset,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
  };
}

interface Logged {
  eventType: string;
  createdAt: string;
}

/** The database's time between two events of a run. */
async function between(app: App, runId: string, first: string, next: string): Promise<number> {
  const log = await app.ask<Logged[]>('events', { runId });
  const at = (type: string, from = 0) =>
    log.findIndex(({ eventType }, place) => place >= from && eventType === type);
  const begin = at(first);
  const end = at(next, begin);
  return Date.parse(log[end]?.createdAt as string) - Date.parse(log[begin]?.createdAt as string);
}

describe.each(SDKS)('with the SDK %s', (sdk) => {
  testOfPostgres(
    'sleeps and delayed retries are neither early nor late, and no lease is lost',
    async () => {
      const data = freshData();
      const apps = await Promise.all(
        CLOCKS.map((offset) => startApp({ data, sdk, env: withClock(offset) })),
      );
      const begin = (of: (app: App, name: string) => Promise<string>) =>
        Promise.all(apps.flatMap((app, at) => ['a', 'b', 'c'].map((name) => of(app, name + at))));
      const sleeping = await begin((app, token) => app.start('race', token, '3s'));
      const retrying = await begin((app) => app.start('retrying'));
      const app = apps[1] as App;
      const runIds = [...sleeping, ...retrying];
      const results = await app.ask<unknown[]>('results', { runIds });
      expect(results).toEqual([...sleeping.map(() => 'nobody answered'), ...retrying.map(() => 3)]);
      for (const runId of sleeping) {
        const slept = await between(app, runId, 'wait_created', 'wait_completed');
        expect(slept).toBeGreaterThan(3000 - MOMENT_MS);
      }
      for (const runId of retrying) {
        const waited = await between(app, runId, 'step_retrying', 'step_started');
        expect(waited).toBeGreaterThan(1000 - MOMENT_MS);
        const types = await app.eventTypes(runId);
        expect(types.filter((type) => type === 'step_started')).toHaveLength(3);
      }
      for (const each of apps) {
        const stats = await each.ask<{ deliveries: { leasesLost: number } }>('stats');
        expect(stats.deliveries.leasesLost).toBe(0);
      }
    },
    LIMIT_MS,
  );
});
