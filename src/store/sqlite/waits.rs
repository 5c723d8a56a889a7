//! Table `waits`.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::checksum::{Check, Table};
use crate::domain::id::{CorrelationId, RunId};
use crate::domain::wait::Wait;
use crate::store::columns::wait_from;

macro_rules! columns {
    () => {
        "run_id, correlation_id, resume_at_ms, completed_at_ms, created_at_ms, updated_at_ms, \
         spec_version, checksum"
    };
}
pub(super) static WAITS: Table = Table { name: "waits", columns: 7, key: &[0, 1] };

/// Runs a statement whose parameters are the [`columns`].
fn write(connection: &Connection, sql: &str, wait: &Wait) -> Result<()> {
    let columns = params![
        wait.run_id.as_str(),
        wait.correlation_id.as_str(),
        wait.resume_at_ms,
        wait.completed_at_ms,
        wait.created_at_ms,
        wait.updated_at_ms,
        wait.spec_version,
    ];
    WAITS.write(&mut *connection.prepare_cached(sql)?, columns, &[])?;
    Ok(())
}

pub(super) fn insert(connection: &Connection, wait: &Wait) -> Result<()> {
    const INSERT: &str =
        concat!("INSERT INTO waits (", columns!(), ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    write(connection, INSERT, wait)
}

pub(super) fn update(connection: &Connection, wait: &Wait) -> Result<()> {
    const UPDATE: &str = "UPDATE waits SET completed_at_ms = ?4, updated_at_ms = ?6, \
         checksum = ?8 WHERE run_id = ?1 AND correlation_id = ?2";
    write(connection, UPDATE, wait)
}

/// Checks every wait.
pub(super) const CHECK: Check = Check {
    rows: concat!("SELECT ", columns!(), " FROM waits"),
    verify: |row| WAITS.verify(row, 0),
};

pub(super) fn delete_of_run(connection: &Connection, run_id: &RunId) -> Result<()> {
    const DELETE_OF_RUN: &str = "DELETE FROM waits WHERE run_id = ?";
    connection.prepare_cached(DELETE_OF_RUN)?.execute([run_id.as_str()])?;
    Ok(())
}

/// The waits of a run that are not completed, in the order of its log.
pub(super) fn pending(connection: &Connection, run_id: &RunId) -> Result<Vec<Wait>> {
    const PENDING: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM waits AS w WHERE run_id = ? AND completed_at_ms IS NULL \
         ORDER BY (SELECT min(position) FROM events AS e INDEXED BY events_opening_entities \
           WHERE e.run_id = w.run_id \
           AND e.correlation_id = w.correlation_id AND event_type = 'wait_created')"
    );
    let wait_of = |row: &Row<'_>| wait_of(row, run_id);
    connection.prepare_cached(PENDING)?.query_map([run_id.as_str()], wait_of)?.collect()
}

/// The waits of a run that are not completed, the next first.
pub(super) fn open(connection: &Connection, run_id: &RunId) -> Result<Vec<Wait>> {
    const OPEN: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM waits WHERE run_id = ? AND completed_at_ms IS NULL ORDER BY resume_at_ms"
    );
    let wait_of = |row: &Row<'_>| wait_of(row, run_id);
    let waits = connection.prepare_cached(OPEN)?.query_map([run_id.as_str()], wait_of)?.collect();
    CHECK.around(connection, &["run_id"], params![run_id.as_str()])?;
    waits
}

/// Checks and reads the [`columns`] of a wait of this run. A damaged tree may lead to another run's
/// wait.
fn wait_of(row: &Row<'_>, run_id: &RunId) -> Result<Wait> {
    let mut columns = WAITS.read(row, 0);
    let wait = wait_from(&mut columns)?;
    columns.end()?;
    match wait.run_id == *run_id {
        true => Ok(wait),
        false => Err(WAITS.damage(row, 0)),
    }
}

pub(super) fn by_id(
    connection: &Connection,
    run_id: &RunId,
    correlation_id: &CorrelationId,
) -> Result<Option<Wait>> {
    const BY_ID: &str =
        concat!("SELECT ", columns!(), " FROM waits WHERE run_id = ? AND correlation_id = ?");
    connection
        .prepare_cached(BY_ID)?
        .query_row([run_id.as_str(), correlation_id.as_str()], |row| wait_of(row, run_id))
        .optional()
}
