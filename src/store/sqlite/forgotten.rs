//! The search for forgotten runs: loads the rows for [`crate::domain::queue::forgotten`].

use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Result, Row, params};

use crate::domain::id::RunId;
use crate::domain::queue::forgotten::{Prospects, is_forgotten};
use crate::domain::run::RunStatus;
use crate::store::ActivePlace;
use crate::store::operation::Forgotten;

/// The facts about a run `r`. The first parameter is the time.
macro_rules! prospects {
    () => {
        "r.status, r.spec_version, \
         EXISTS (SELECT 1 FROM messages AS m WHERE m.run_id = r.run_id AND m.step_id IS NULL), \
         EXISTS (SELECT 1 FROM messages AS m WHERE m.run_id = r.run_id AND m.step_id IS NOT NULL), \
         EXISTS (SELECT 1 FROM events AS e WHERE e.run_id = r.run_id \
           AND e.position > r.replayed_position AND e.event_type = 'hook_received'), \
         EXISTS (SELECT 1 FROM events AS e WHERE e.run_id = r.run_id \
           AND e.position > r.replayed_position \
           AND e.event_type IN ('step_completed', 'step_failed')), \
         EXISTS (SELECT 1 FROM waits AS w WHERE w.run_id = r.run_id \
           AND w.completed_at_ms IS NULL AND w.resume_at_ms <= ?1)"
    };
}
/// The number of `prospects!()`.
const PROSPECTS_COLUMNS: usize = 7;

fn prospects_of(row: &Row<'_>) -> Result<Prospects> {
    Ok(Prospects {
        status: status_of(row)?,
        spec_version: row.get(1)?,
        has_replay: row.get(2)?,
        has_step: row.get(3)?,
        has_unseen_resume: row.get(4)?,
        has_unseen_step_end: row.get(5)?,
        has_overdue_wait: row.get(6)?,
    })
}

/// The reason quotes no value, because a damaged column may hold anything.
fn status_of(row: &Row<'_>) -> Result<RunStatus> {
    let unknown =
        || Error::FromSqlConversionFailure(0, Type::Text, "it holds an unknown word".into());
    RunStatus::parse(row.get_ref(0)?.as_str()?).ok_or_else(unknown)
}

/// Searches a slice of the active runs.
///
/// It uses the index on status, workflow and run, in whose order the active statuses are the last two.
/// The place is the only bound: with a second bound on the status alone, SQLite would begin at that
/// bound every time.
pub(super) fn find(
    connection: &Connection,
    after: Option<&ActivePlace>,
    limit: usize,
    now_ms: i64,
) -> Result<Forgotten> {
    const ACTIVE: &str = concat!(
        "SELECT ",
        prospects!(),
        ", r.run_id, r.workflow_name FROM runs AS r \
         WHERE (r.status, r.workflow_name, r.run_id) > (?2, ?3, ?4) \
         ORDER BY r.status, r.workflow_name, r.run_id LIMIT ?5"
    );
    let (status, workflow_name, run_id) = match after {
        Some(at) => (at.status, at.workflow_name.as_str(), at.run_id.as_str()),
        None => (RunStatus::Pending, "", ""),
    };
    let mut statement = connection.prepare_cached(ACTIVE)?;
    let mut rows =
        statement.query(params![now_ms, status.as_str(), workflow_name, run_id, limit as i64])?;
    let mut found = Forgotten { runs: Vec::new(), next: None };
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        let prospects = prospects_of(row)?;
        let run_id = RunId::new(row.get::<_, String>(PROSPECTS_COLUMNS)?);
        if is_forgotten(&prospects) {
            found.runs.push(run_id.clone());
        }
        found.next = Some(ActivePlace {
            status: prospects.status,
            workflow_name: row.get(PROSPECTS_COLUMNS + 1)?,
            run_id,
        });
        seen += 1;
    }
    if seen < limit {
        found.next = None;
    }
    Ok(found)
}

/// The facts about a run.
pub(super) fn prospects(
    connection: &Connection,
    run_id: &RunId,
    now_ms: i64,
) -> Result<Option<Prospects>> {
    const PROSPECTS: &str = concat!("SELECT ", prospects!(), " FROM runs AS r WHERE r.run_id = ?2");
    connection
        .prepare_cached(PROSPECTS)?
        .query_row(params![now_ms, run_id.as_str()], prospects_of)
        .optional()
}
