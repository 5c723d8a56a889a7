//! Table `owners`: the workers, and which of them are alive.
//!
//! Each worker holds an advisory lock on its number. The server frees the lock when the session ends,
//! which it does at once when the process dies, and after some seconds when its host vanishes.

use super::db::{Columns, Db, Write, values};
use super::migrate::LOCK_CLASS;
use crate::error::WorldError;
use crate::store::upkeep::Worker;

/// The workers whose session has its lock.
macro_rules! living {
    () => {
        "FROM hookline.owners AS o WHERE o.ended_at_ms IS NULL AND EXISTS (SELECT 1 \
           FROM pg_catalog.pg_locks AS l WHERE l.locktype = 'advisory' AND l.objsubid = 2 \
           AND l.database = (SELECT oid FROM pg_catalog.pg_database \
             WHERE datname = current_database()) \
           AND l.classid = $1::text::oid AND l.objid = o.owner_number::oid AND l.granted)"
    };
}

fn class() -> String {
    LOCK_CLASS.to_string()
}

/// The number of a worker that begins.
pub(super) async fn insert(db: &Db, owner: &str, now_ms: i64) -> Result<i32, WorldError> {
    const INSERT: &str = "INSERT INTO hookline.owners (lease_owner, started_at_ms) VALUES ($1, $2) \
         ON CONFLICT (lease_owner) DO UPDATE SET ended_at_ms = NULL RETURNING owner_number";
    let row = db.first(INSERT, &values![owner, now_ms]).await?;
    let row = row.ok_or_else(|| super::fault::damage("no number"))?;
    Columns::of(&row).take()
}

/// Takes the lock of a worker for as long as this session lives. Nobody else takes it.
pub(super) async fn lock(db: &Db, number: i32) -> Result<(), WorldError> {
    const LOCK: &str = "SELECT pg_advisory_lock($1::bigint::integer, $2::bigint::integer)";
    db.rows(LOCK, &values![i64::from(LOCK_CLASS), i64::from(number)]).await.map(drop)
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

/// Replaces the report of a worker.
pub(super) async fn show(db: &Db, owner: &str, report: &str) -> Result<(), WorldError> {
    const SHOW: &str = "UPDATE hookline.owners SET report = $2 WHERE lease_owner = $1";
    db.execute(SHOW, &values![owner, report]).await.map(drop)
}

/// The names of the living workers.
pub(super) async fn living(db: &Db) -> Result<Vec<String>, WorldError> {
    const LIVING: &str = concat!("SELECT o.lease_owner ", living!());
    let rows = db.rows(LIVING, &values![class()]).await?;
    rows.iter().map(|row| Columns::of(row).take()).collect()
}

/// The living workers with their reports.
pub(super) async fn workers(db: &Db) -> Result<Vec<Worker>, WorldError> {
    const WORKERS: &str = concat!("SELECT o.lease_owner, o.report ", living!());
    let rows = db.rows(WORKERS, &values![class()]).await?;
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
}

/// The owners of leases, other than this one, that do not look alive.
pub(super) async fn signs(db: &Db, me: &str) -> Result<Vec<(String, Sign)>, WorldError> {
    const SIGNS: &str = concat!(
        "SELECT DISTINCT o.lease_owner, o.ended_at_ms IS NOT NULL FROM hookline.owners AS o \
         JOIN hookline.messages AS m ON m.lease_owner = o.lease_owner \
         WHERE m.lease_token IS NOT NULL AND o.lease_owner <> $2 \
         AND o.lease_owner NOT IN (SELECT o.lease_owner ",
        living!(),
        ")"
    );
    let rows = db.rows(SIGNS, &values![class(), me]).await?;
    let sign_of = |row: &tokio_postgres::Row| {
        let mut columns = Columns::of(row);
        let owner = columns.take()?;
        let sign = if columns.take()? { Sign::Ended } else { Sign::LockFree };
        Ok((owner, sign))
    };
    rows.iter().map(sign_of).collect()
}
