//! Table `waits`.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::domain::id::{CorrelationId, RunId};
use crate::domain::wait::Wait;

pub(super) fn insert(connection: &Connection, wait: &Wait) -> Result<()> {
    const INSERT: &str = "INSERT INTO waits (run_id, correlation_id, resume_at_ms, \
         completed_at_ms, created_at_ms, updated_at_ms, spec_version) VALUES (?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(INSERT)?.execute(params![
        wait.run_id.as_str(),
        wait.correlation_id.as_str(),
        wait.resume_at_ms,
        wait.completed_at_ms,
        wait.created_at_ms,
        wait.updated_at_ms,
        wait.spec_version,
    ])?;
    Ok(())
}

pub(super) fn update(connection: &Connection, wait: &Wait) -> Result<()> {
    const UPDATE: &str = "UPDATE waits SET completed_at_ms = ?3, updated_at_ms = ?4 \
         WHERE run_id = ?1 AND correlation_id = ?2";
    connection.prepare_cached(UPDATE)?.execute(params![
        wait.run_id.as_str(),
        wait.correlation_id.as_str(),
        wait.completed_at_ms,
        wait.updated_at_ms,
    ])?;
    Ok(())
}

pub(super) fn delete_of_run(connection: &Connection, run_id: &RunId) -> Result<()> {
    const DELETE_OF_RUN: &str = "DELETE FROM waits WHERE run_id = ?";
    connection.prepare_cached(DELETE_OF_RUN)?.execute([run_id.as_str()])?;
    Ok(())
}

/// The waits of a run that are not completed, in the order of its log.
pub(super) fn pending(connection: &Connection, run_id: &RunId) -> Result<Vec<Wait>> {
    const PENDING: &str = "SELECT resume_at_ms, completed_at_ms, created_at_ms, updated_at_ms, \
         spec_version, correlation_id FROM waits AS w WHERE run_id = ? AND completed_at_ms IS NULL \
         ORDER BY (SELECT min(position) FROM events AS e INDEXED BY events_opening_entities \
           WHERE e.run_id = w.run_id \
           AND e.correlation_id = w.correlation_id AND event_type = 'wait_created')";
    connection
        .prepare_cached(PENDING)?
        .query_map([run_id.as_str()], |row| {
            wait_of(row, run_id, CorrelationId::new(row.get::<_, String>(5)?))
        })?
        .collect()
}

/// Columns `resume_at_ms, completed_at_ms, created_at_ms, updated_at_ms, spec_version`, first.
fn wait_of(row: &Row<'_>, run_id: &RunId, correlation_id: CorrelationId) -> Result<Wait> {
    Ok(Wait {
        run_id: run_id.clone(),
        correlation_id,
        resume_at_ms: row.get(0)?,
        completed_at_ms: row.get(1)?,
        created_at_ms: row.get(2)?,
        updated_at_ms: row.get(3)?,
        spec_version: row.get(4)?,
    })
}

pub(super) fn by_id(
    connection: &Connection,
    run_id: &RunId,
    correlation_id: &CorrelationId,
) -> Result<Option<Wait>> {
    const BY_ID: &str = "SELECT resume_at_ms, completed_at_ms, created_at_ms, updated_at_ms, \
         spec_version FROM waits WHERE run_id = ? AND correlation_id = ?";
    connection
        .prepare_cached(BY_ID)?
        .query_row([run_id.as_str(), correlation_id.as_str()], |row| {
            wait_of(row, run_id, correlation_id.clone())
        })
        .optional()
}
