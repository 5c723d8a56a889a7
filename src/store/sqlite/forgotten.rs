//! The search for forgotten runs: loads the rows for [`crate::domain::queue::forgotten`].

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::rows::decode;
use crate::domain::event::EventType;
use crate::domain::id::RunId;
use crate::domain::queue::forgotten::{Prospects, is_forgotten};
use crate::domain::run::RunStatus;
use crate::store::ActivePlace;

/// The result of one search step: runs that seem forgotten, and the place where the next step begins.
pub(super) struct Found {
    pub(super) runs: Vec<RunId>,
    pub(super) next: Option<ActivePlace>,
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
) -> Result<Found> {
    const ACTIVE: &str = "SELECT r.run_id, r.workflow_name, r.status, \
         EXISTS (SELECT 1 FROM messages AS m WHERE m.run_id = r.run_id), \
         EXISTS (SELECT 1 FROM events AS e WHERE e.run_id = r.run_id \
           AND e.position > r.replayed_position AND e.event_type IN (?5, ?6, ?7)), \
         EXISTS (SELECT 1 FROM waits AS w WHERE w.run_id = r.run_id \
           AND w.completed_at_ms IS NULL AND w.resume_at_ms <= ?8) \
         FROM runs AS r WHERE (r.status, r.workflow_name, r.run_id) > (?1, ?2, ?3) \
         ORDER BY r.status, r.workflow_name, r.run_id LIMIT ?4";
    let (status, workflow_name, run_id) = match after {
        Some(at) => (at.status, at.workflow_name.as_str(), at.run_id.as_str()),
        None => (RunStatus::Pending, "", ""),
    };
    let [step_completed, step_failed, hook_received] = EventType::WAKING.map(EventType::as_str);
    let mut statement = connection.prepare_cached(ACTIVE)?;
    let mut rows = statement.query(params![
        status.as_str(),
        workflow_name,
        run_id,
        limit as i64,
        step_completed,
        step_failed,
        hook_received,
        now_ms
    ])?;
    let mut found = Found { runs: Vec::new(), next: None };
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        let run_id = RunId::new(row.get::<_, String>(0)?);
        let prospects = Prospects {
            status: decode(row, 2, RunStatus::parse)?,
            has_message: row.get(3)?,
            has_unseen_event: row.get(4)?,
            has_overdue_wait: row.get(5)?,
        };
        if is_forgotten(&prospects) {
            found.runs.push(run_id.clone());
        }
        found.next =
            Some(ActivePlace { status: prospects.status, workflow_name: row.get(1)?, run_id });
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
    const PROSPECTS: &str = "SELECT r.status, \
         EXISTS (SELECT 1 FROM messages AS m WHERE m.run_id = r.run_id), \
         EXISTS (SELECT 1 FROM events AS e WHERE e.run_id = r.run_id \
           AND e.position > r.replayed_position AND e.event_type IN (?3, ?4, ?5)), \
         EXISTS (SELECT 1 FROM waits AS w WHERE w.run_id = r.run_id \
           AND w.completed_at_ms IS NULL AND w.resume_at_ms <= ?2) \
         FROM runs AS r WHERE r.run_id = ?1";
    let [step_completed, step_failed, hook_received] = EventType::WAKING.map(EventType::as_str);
    connection
        .prepare_cached(PROSPECTS)?
        .query_row(
            params![run_id.as_str(), now_ms, step_completed, step_failed, hook_received],
            |row| {
                Ok(Prospects {
                    status: decode(row, 0, RunStatus::parse)?,
                    has_message: row.get(1)?,
                    has_unseen_event: row.get(2)?,
                    has_overdue_wait: row.get(3)?,
                })
            },
        )
        .optional()
}
