//! Table `owners`: the workers, and which of them are alive.
//!
//! Each worker holds an advisory lock on its number. The server frees the lock when the session ends,
//! which it does at once when the process dies, and after some seconds when its host vanishes. A worker
//! behind a pooler has no session, so it says from time to time that it lives.

use std::time::Duration;

use super::db::{Columns, Db, values};
use super::fault;
use super::writes::Write;
use crate::error::WorldError;
use crate::store::upkeep::Worker;

/// The interval at which a worker without a lock says that it lives.
pub(super) const SEEN_EVERY: Duration = Duration::from_secs(5);
/// For how long it counts as living.
const SEEN_MS: i64 = 20_000;

/// The database's time.
macro_rules! now_ms {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}

/// The workers whose session has its lock, and those without a session that were seen lately.
macro_rules! living {
    () => {
        concat!(
            "FROM hookline.owners AS o WHERE o.ended_at_ms IS NULL AND CASE \
               WHEN o.locked_on IS NULL THEN o.seen_at_ms > ",
            now_ms!(),
            " - $2 ELSE EXISTS (SELECT 1 \
               FROM pg_catalog.pg_locks AS l WHERE l.locktype = 'advisory' AND l.objsubid = 2 \
               AND l.database = (SELECT oid FROM pg_catalog.pg_database \
                 WHERE datname = current_database()) \
               AND l.classid = $1::text::oid AND l.objid = o.owner_number::oid AND l.granted) END"
        )
    };
}

/// The first half of the keys of the locks. The schemas of a database share its locks.
fn class(db: &Db) -> u32 {
    crc32fast::hash(format!("hookline workers {}", db.schema()).as_bytes())
}

/// A worker that says that it lives.
pub(super) struct SignedIn<'a> {
    pub(super) owner: &'a str,
    pub(super) now_ms: i64,
    /// Then it takes its lock next.
    pub(super) has_session: bool,
    pub(super) report: Option<&'a str>,
}

/// Puts a worker among the living. Returns its number.
pub(super) async fn sign_in(db: &Db, worker: SignedIn<'_>) -> Result<i32, WorldError> {
    const SIGN_IN: &str = concat!(
        "INSERT INTO hookline.owners AS o (lease_owner, started_at_ms, report, locked_on, seen_at_ms) \
         VALUES ($1, $2, $4, CASE WHEN $3 THEN extract(epoch FROM pg_postmaster_start_time())::text END, ",
        now_ms!(),
        ") ON CONFLICT (lease_owner) DO UPDATE SET ended_at_ms = NULL, \
           locked_on = excluded.locked_on, seen_at_ms = excluded.seen_at_ms, \
           report = excluded.report \
         RETURNING owner_number"
    );
    let row = db
        .first(SIGN_IN, &values![worker.owner, worker.now_ms, worker.has_session, worker.report])
        .await?;
    let row = row.ok_or_else(|| fault::damage("no number"))?;
    Columns::of(&row).take()
}

/// Takes the lock of a worker for as long as this session lives. `false` if an earlier session of the
/// worker has it still, whose end the server has not noticed.
pub(super) async fn lock(db: &Db, number: i32) -> Result<bool, WorldError> {
    const LOCK: &str = "SELECT pg_try_advisory_lock($1::bigint::integer, $2::bigint::integer)";
    let keys = values![i64::from(class(db).cast_signed()), i64::from(number)];
    let row = db.first(LOCK, &keys).await?.ok_or_else(|| fault::damage("no lock"))?;
    Columns::of(&row).take()
}

/// Says that a worker has ended. Forgets it if it has no leases that others must free.
pub(super) async fn end(db: &Db, owner: &str, now_ms: i64) -> Result<(), WorldError> {
    const END: &str = "UPDATE hookline.owners SET ended_at_ms = $2 WHERE lease_owner = $1";
    db.execute(END, &values![owner, now_ms]).await?;
    db.write(&forget_without_leases(owner)).await
}

/// Forgets a worker that has ended and has no leases.
pub(super) fn forget_without_leases(owner: &str) -> Write {
    const FORGET: &str = "DELETE FROM hookline.owners AS o WHERE o.lease_owner = $1 \
         AND NOT EXISTS (SELECT 1 FROM hookline.messages AS m \
           WHERE m.lease_token IS NOT NULL AND m.lease_owner = o.lease_owner)";
    Write::new(FORGET, values![owner])
}

/// The names of the living workers.
pub(super) async fn living(db: &Db) -> Result<Vec<String>, WorldError> {
    const LIVING: &str = concat!("SELECT o.lease_owner ", living!());
    let rows = db.rows(LIVING, &values![class(db).to_string(), SEEN_MS]).await?;
    rows.iter().map(|row| Columns::of(row).take()).collect()
}

/// The living workers with their reports.
pub(super) async fn workers(db: &Db) -> Result<Vec<Worker>, WorldError> {
    const WORKERS: &str = concat!("SELECT o.lease_owner, o.report ", living!());
    let rows = db.rows(WORKERS, &values![class(db).to_string(), SEEN_MS]).await?;
    let worker_of = |row: &tokio_postgres::Row| {
        let mut columns = Columns::of(row);
        Ok(Worker { lease_owner: columns.take()?, report: columns.take()? })
    };
    rows.iter().map(worker_of).collect()
}

/// How a worker that has leases looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It has said that it has ended.
    Ended,
    /// Its lock is free: it has died, or its session broke.
    LockFree,
    /// Its lock was on a server that has restarted since, or given its work to this one. The worker may
    /// not have come back yet.
    ServerChanged,
}

/// A worker that does not look alive, and when it last said that it lives: another time is another absence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Absent {
    pub(super) owner: String,
    pub(super) seen_at_ms: i64,
}

/// The owners of leases, other than this one, that do not look alive. A worker without a lock gives no
/// sign: its leases expire.
pub(super) async fn signs(db: &Db, me: &str) -> Result<Vec<(Absent, Sign)>, WorldError> {
    const SIGNS: &str = concat!(
        "SELECT DISTINCT o.lease_owner, o.seen_at_ms, o.ended_at_ms IS NOT NULL, \
           o.locked_on = extract(epoch FROM pg_postmaster_start_time())::text FROM hookline.owners AS o \
         JOIN hookline.messages AS m ON m.lease_owner = o.lease_owner \
         WHERE m.lease_token IS NOT NULL AND o.lease_owner <> $3 \
         AND (o.ended_at_ms IS NOT NULL OR o.locked_on IS NOT NULL) \
         AND o.lease_owner NOT IN (SELECT o.lease_owner ",
        living!(),
        ")"
    );
    let rows = db.rows(SIGNS, &values![class(db).to_string(), SEEN_MS, me]).await?;
    let sign_of = |row: &tokio_postgres::Row| {
        let mut columns = Columns::of(row);
        let absent = Absent { owner: columns.take()?, seen_at_ms: columns.take()? };
        let has_ended: bool = columns.take()?;
        let is_same_server: Option<bool> = columns.take()?;
        let sign = match (has_ended, is_same_server) {
            (true, _) => Sign::Ended,
            (false, Some(true)) => Sign::LockFree,
            (false, _) => Sign::ServerChanged,
        };
        Ok((absent, sign))
    };
    rows.iter().map(sign_of).collect()
}
