/** The warning of a worker that hears of other processes late. */
import { sayOnce } from './say-once';

/** The addon's report of a worker that has started. */
export interface NativeWorker {
  /** Whether it has no session with its Postgres server, though it should have one. */
  lacksSession: boolean;
}

/** Warns once of a worker without a session. */
export function warnOfSession(worker: NativeWorker | undefined): void {
  if (!worker?.lacksSession) return;
  sayOnce(
    'HOOKLINE_SESSION',
    'This worker does not hear what other connections to its Postgres database tell: it is behind a ' +
      'pooler, which may give each transaction another connection. So it notices commits of other ' +
      'processes after up to half a second, and they notice its death after 45 seconds. Set ' +
      'WORKFLOW_HOOKLINE_LISTEN_URL to a URL of the same database past the pooler, or of its session ' +
      'mode, or to off if you accept that.',
  );
}
