/** What `hookline doctor` says of a Postgres server, case by case. */
import type { ServerExamination } from '../ts/cli/server';
import { loadModule } from './support';

const { ofServer } = loadModule<typeof import('../ts/cli/server')>('ts/cli/server.ts');

const MINUTE_MS = 60_000;
const SOUND: ServerExamination = {
  kind: 'postgres',
  version: '17.2',
  schema: 'hookline',
  schemaVersion: 1,
  bytes: 8192,
  isStandby: false,
  onlyReads: false,
  tls: 'TLSv1.3',
  role: 'app',
  missingRights: [],
  roundTripUs: 420,
  clockAheadMs: 10,
  isDirect: true,
  syncsToDisk: true,
  synchronousCommit: 'on',
  connections: 5,
  connectionsMax: 100,
  oldSnapshots: [],
  queue: { bytes: 8192, liveRows: 10, deadRows: 100, vacuumedMsAgo: MINUTE_MS },
  livingWorkers: 2,
  knownWorkers: 2,
};

/** The findings that are not good, each with its cause and its remedy. */
function faults(found: Partial<ServerExamination>, listenUrl?: string) {
  return ofServer('db.example/orders', { ...SOUND, ...found }, listenUrl)
    .filter(({ state }) => state !== 'good')
    .map(({ what, state, found, fix }) => [what, state, `${found} -> ${fix}`]);
}

const fault = (what: string, state: string, text: RegExp) => [
  [what, state, expect.stringMatching(text)],
];
const deadRows = 60_000;

test('nothing is wrong with a sound server', () => {
  expect(faults({})).toEqual([]);
  const [database] = ofServer('db.example/orders', SOUND, undefined);
  expect(database?.found).toMatch(/PostgreSQL 17\.2, role app, TLSv1\.3, 0\.42 ms away$/);
});

test.each<[string, Partial<ServerExamination>, string, string, RegExp]>([
  ['a standby', { isStandby: true }, 'Permissions', 'problem', /standby.*name the primary/i],
  [
    'a role that only reads',
    { onlyReads: true },
    'Permissions',
    'problem',
    /default_transaction_read_only.*ALTER ROLE app RESET/,
  ],
  [
    'a role without rights',
    { missingRights: ['INSERT ON runs'] },
    'Permissions',
    'problem',
    /lacks INSERT ON runs.*GRANT/,
  ],
  ['fsync off', { syncsToDisk: false }, 'Durability', 'problem', /fsync is off.*Turn fsync on/],
  [
    'synchronous_commit off',
    { synchronousCommit: 'off' },
    'Durability',
    'warning',
    /loses the last moments.*Turn it on/,
  ],
  [
    'a clock that is ahead',
    { clockAheadMs: 5 * MINUTE_MS },
    'Clock',
    'warning',
    /5 min ahead of.*synchronise/,
  ],
  ['a clock that is behind', { clockAheadMs: -5 * MINUTE_MS }, 'Clock', 'warning', /5 min behind/],
  [
    'a pooler',
    { isDirect: false },
    'Notifications',
    'warning',
    /a pooler.*WORKFLOW_HOOKLINE_LISTEN_URL/,
  ],
  [
    'few connections left',
    { connections: 95 },
    'Connections',
    'warning',
    /95 of 100.*max_connections/,
  ],
  [
    'an old transaction',
    { oldSnapshots: [{ what: 'process 7 of role bi (report), active', ageMs: 6 * MINUTE_MS }] },
    'Vacuum',
    'warning',
    /process 7 of role bi \(report\), active, for 6 min.*End it/,
  ],
  [
    'a slot that nobody reads',
    { oldSnapshots: [{ what: 'replication slot old, 200000 transactions behind', ageMs: null }] },
    'Vacuum',
    'warning',
    /replication slot old.*End it/,
  ],
  [
    'a bloated queue',
    { queue: { bytes: 64 << 20, liveRows: 10, deadRows, vacuumedMsAgo: null } },
    'Vacuum',
    'warning',
    /60000 dead rows.*last vacuum never.*autovacuum/,
  ],
  [
    'workers that ended without a word',
    { knownWorkers: 5 },
    'Workers',
    'warning',
    /3 workers have ended/,
  ],
])('%s is said with advice', (_, found, what, state, text) => {
  expect(faults(found)).toEqual(fault(what, state, text));
});

test('a full queue needs dead rows, and a pooler that is accepted needs no advice', () => {
  expect(faults({ queue: { ...SOUND.queue, deadRows, liveRows: deadRows } })).toEqual([]);
  for (const url of ['off', 'postgres://db.example/orders']) {
    expect(faults({ isDirect: false }, url)).toEqual([]);
  }
});

test('a name in the server cannot write to the terminal', () => {
  const oldSnapshots = [{ what: 'process 7 of role \u001b[31m, active', ageMs: 1 }];
  expect(JSON.stringify(faults({ oldSnapshots }))).not.toContain('\\u001b');
});
