//! Runs that have something to do and no message that would make them do it.
//!
//! The outbox leaves none behind by itself: the SDK's `start()` is two calls, between which a process
//! may die, and a message may have been lost with a damaged or hand-edited table.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::apply::Tx;
use super::rows::decode;
use super::runs;
use crate::domain::event::EventType;
use crate::domain::id::RunId;
use crate::domain::message::WakeUp;
use crate::domain::run::RunStatus;
use crate::store::ActivePlace;

/// What a look found: runs that seem forgotten, and where to look next.
pub(super) struct Found {
    pub(super) runs: Vec<RunId>,
    pub(super) next: Option<ActivePlace>,
}

/// Looks at a slice of the active runs.
///
/// By the index on status and run, in whose order the active statuses are the last two. The place is
/// the only bound: beside a bound on the status alone SQLite would begin at that one every time.
pub(super) fn find(
    connection: &Connection,
    after: Option<&ActivePlace>,
    limit: usize,
    now_ms: i64,
) -> Result<Found> {
    const ACTIVE: &str = "SELECT r.run_id, r.status, \
         NOT EXISTS (SELECT 1 FROM messages AS m WHERE m.run_id = r.run_id) \
         AND (r.status = 'pending' OR EXISTS (SELECT 1 FROM events AS e \
           WHERE e.run_id = r.run_id AND e.position > r.replayed_position \
           AND e.event_type IN (?4, ?5, ?6)) \
           OR EXISTS (SELECT 1 FROM waits AS w WHERE w.run_id = r.run_id \
             AND w.completed_at_ms IS NULL AND w.resume_at_ms <= ?7)) \
         FROM runs AS r WHERE (r.status, r.run_id) > (?1, ?2) \
         ORDER BY r.status, r.run_id LIMIT ?3";
    let (status, run_id) = after
        .map_or((RunStatus::Pending.as_str(), ""), |at| (at.status.as_str(), at.run_id.as_str()));
    let [step_completed, step_failed, hook_received] = EventType::WAKING.map(EventType::as_str);
    let mut statement = connection.prepare_cached(ACTIVE)?;
    let mut rows = statement.query(params![
        status,
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
        if row.get(2)? {
            found.runs.push(run_id.clone());
        }
        found.next = Some(ActivePlace { status: decode(row, 1, RunStatus::parse)?, run_id });
        seen += 1;
    }
    if seen < limit {
        found.next = None;
    }
    Ok(found)
}

/// Whether a run is forgotten now, by the same rules.
fn is_forgotten(connection: &Connection, run_id: &RunId, now_ms: i64) -> Result<bool> {
    const IS_FORGOTTEN: &str = "SELECT r.status >= 'pending' \
         AND NOT EXISTS (SELECT 1 FROM messages AS m WHERE m.run_id = r.run_id) \
         AND (r.status = 'pending' \
           OR EXISTS (SELECT 1 FROM events AS e WHERE e.run_id = r.run_id \
             AND e.position > r.replayed_position AND e.event_type IN (?3, ?4, ?5)) \
           OR EXISTS (SELECT 1 FROM waits AS w WHERE w.run_id = r.run_id \
             AND w.completed_at_ms IS NULL AND w.resume_at_ms <= ?2)) \
         FROM runs AS r WHERE r.run_id = ?1";
    let [step_completed, step_failed, hook_received] = EventType::WAKING.map(EventType::as_str);
    let forgotten = connection
        .prepare_cached(IS_FORGOTTEN)?
        .query_row(
            params![run_id.as_str(), now_ms, step_completed, step_failed, hook_received],
            |row| row.get(0),
        )
        .optional()?;
    Ok(forgotten.unwrap_or(false))
}

/// Wakes those of the runs that are still forgotten; returns how many.
pub(super) fn wake(tx: &mut Tx<'_>, found: &[RunId]) -> Result<usize> {
    let now_ms = tx.clock.now_ms();
    let mut woken = 0;
    for run_id in found {
        if !is_forgotten(tx.connection, run_id, now_ms)? {
            continue;
        }
        let Some(run) = runs::by_id(tx.connection, run_id)? else { continue };
        let message = WakeUp::of(&run).into_message(tx.workflow_prefix);
        tx.enqueue(&message, 0)?;
        woken += 1;
    }
    Ok(woken)
}
