/** What `hookline doctor` says of a Postgres server, of the schema, and of the way to them. */
import { duration } from '../engine/duration';
import type { Finding } from './finding';
import { printable, size } from './print';

/** What the addon finds; `src/binding/upkeep_calls.rs` makes it. */
export interface ServerExamination {
  kind: 'postgres';
  version: string;
  schema: string;
  schemaVersion: number;
  bytes: number;
  isStandby: boolean;
  onlyReads: boolean;
  /** The version of TLS. */
  tls: string | null;
  role: string;
  /** The rights on our tables that the role lacks. */
  missingRights: string[];
  roundTripUs: number;
  /** By how much the server's clock is ahead of this host's. */
  clockAheadMs: number;
  /** Whether this way leads to the server itself, and to no pooler. */
  isDirect: boolean;
  syncsToDisk: boolean;
  synchronousCommit: string;
  connections: number;
  connectionsMax: number;
  oldSnapshots: { what: string; ageMs: number | null }[];
  queue: { bytes: number; liveRows: number; deadRows: number; vacuumedMsAgo: number | null };
  livingWorkers: number;
  /** The living ones, and those that have died without a word. */
  knownWorkers: number;
}

/** A difference of the clocks that deserves a warning. */
const CLOCK_MS = 1000;
/** A share of the server's connections that deserves a warning. */
const BUSY_SHARE = 0.9;
/** Dead rows that deserve a warning, if they are also many times the others. */
const DEAD_ROWS = 50_000;
const DEAD_FACTOR = 10;

/** The findings about a server. */
export function ofServer(
  name: string,
  it: ServerExamination,
  listenUrl: string | undefined,
): Finding[] {
  return [
    database(name, it),
    ...writing(it),
    ...durability(it),
    ...clock(it),
    ...notifications(it, listenUrl),
    ...connections(it),
    ...vacuum(it),
    ...deadWorkers(it),
  ];
}

function database(name: string, it: ServerExamination): Finding {
  const tls = it.tls ? `, ${it.tls}` : ', no TLS';
  const away = `${(it.roundTripUs / 1000).toFixed(2)} ms away`;
  const found = `${name}, schema ${it.schema} of version ${it.schemaVersion}, ${size(it.bytes)}; PostgreSQL ${it.version}, role ${it.role}${tls}, ${away}`;
  return { what: 'Database', state: 'good', found: printable(found) };
}

function writing({ isStandby, onlyReads, missingRights, role }: ServerExamination): Finding[] {
  const what = 'Permissions';
  if (isStandby) {
    const found = 'the server is a standby, which only reads';
    const fix = 'Name the primary, or all hosts of the cluster: postgres://a,b/...';
    return [{ what, state: 'problem', found, fix }];
  }
  if (onlyReads) {
    const found = 'default_transaction_read_only is on, so nothing can be written';
    return [
      {
        what,
        state: 'problem',
        found,
        fix: `ALTER ROLE ${role} RESET default_transaction_read_only`,
      },
    ];
  }
  if (missingRights.length === 0) {
    return [{ what, state: 'good', found: 'the role may do all that the app does' }];
  }
  const found = `the role ${role} lacks ${missingRights.slice(0, 5).join(', ')}${missingRights.length > 5 ? ' and more' : ''}`;
  const fix = `Let the owner of the schema GRANT it (docs/postgres.md).`;
  return [{ what, state: 'problem', found: printable(found), fix }];
}

function durability({ syncsToDisk, synchronousCommit }: ServerExamination): Finding[] {
  const what = 'Durability';
  if (!syncsToDisk) {
    const found = 'fsync is off: a crash of the server can lose or damage everything';
    return [{ what, state: 'problem', found, fix: 'Turn fsync on.' }];
  }
  if (synchronousCommit === 'off') {
    const found = 'synchronous_commit is off: a crash of the server loses the last moments';
    const fix = 'Turn it on for the role, unless you can lose acknowledged resumes.';
    return [{ what, state: 'warning', found, fix }];
  }
  return [];
}

function clock({ clockAheadMs }: ServerExamination): Finding[] {
  if (Math.abs(clockAheadMs) < CLOCK_MS) return [];
  const how = clockAheadMs > 0 ? 'ahead of' : 'behind';
  const found = `the server's clock is ${duration(Math.abs(clockAheadMs))} ${how} this host's`;
  const fix = 'Nothing is late or lost by it, but times in logs differ: synchronise the clocks.';
  return [{ what: 'Clock', state: 'warning', found, fix }];
}

function notifications(
  { isDirect, isStandby }: ServerExamination,
  listenUrl: string | undefined,
): Finding[] {
  const what = 'Notifications';
  if (listenUrl !== undefined) {
    const found =
      listenUrl === 'off'
        ? 'off: processes look every half second'
        : 'go another way than the rest';
    return [{ what, state: 'good', found }];
  }
  if (isStandby) return [];
  if (isDirect) return [{ what, state: 'good', found: 'processes hear of each other at once' }];
  const found =
    'this is a pooler, behind which processes look every half second instead of hearing of each other';
  const fix =
    'Name a URL past the pooler, or of its session mode, in WORKFLOW_HOOKLINE_LISTEN_URL (docs/postgres.md).';
  return [{ what, state: 'warning', found, fix }];
}

function connections({ connections, connectionsMax }: ServerExamination): Finding[] {
  if (connections < connectionsMax * BUSY_SHARE) return [];
  const found = `${connections} of ${connectionsMax} connections are in use`;
  const fix = 'Raise max_connections, or put a pooler in between.';
  return [{ what: 'Connections', state: 'warning', found, fix }];
}

/** Old snapshots, and a queue that is full of dead rows. */
function vacuum({ oldSnapshots, queue }: ServerExamination): Finding[] {
  const what = 'Vacuum';
  const findings: Finding[] = oldSnapshots.map((it) => {
    const since = it.ageMs === null ? '' : `, for ${duration(it.ageMs)}`;
    const found = `the queue cannot be cleaned because of ${it.what}${since}`;
    const fix = 'End it: claims become slower with every message that was delivered meanwhile.';
    return { what, state: 'warning', found: printable(found), fix };
  });
  const { deadRows, liveRows, vacuumedMsAgo, bytes } = queue;
  if (deadRows > DEAD_ROWS && deadRows > liveRows * DEAD_FACTOR) {
    const last = vacuumedMsAgo === null ? 'never' : `${duration(vacuumedMsAgo)} ago`;
    const found = `the table of messages has ${deadRows} dead rows, ${size(bytes)}; last vacuum ${last}`;
    const fix = 'Is autovacuum on, and has it workers left? VACUUM messages by hand helps now.';
    findings.push({ what, state: 'warning', found, fix });
  }
  return findings;
}

function deadWorkers({ livingWorkers, knownWorkers }: ServerExamination): Finding[] {
  const dead = knownWorkers - livingWorkers;
  if (dead <= 0) return [];
  const found = `${dead} workers have ended without a word`;
  const fix = 'Others take over their messages within seconds; look at why they ended.';
  return [{ what: 'Workers', state: 'warning', found, fix }];
}
