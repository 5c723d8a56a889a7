//! The search for forgotten runs: loads the rows for [`crate::domain::queue::forgotten`].

use super::db::{Columns, Db, values};
use crate::domain::id::RunId;
use crate::domain::queue::forgotten::{Prospects, is_forgotten};
use crate::domain::run::RunStatus;
use crate::error::WorldError;
use crate::store::ActivePlace;
use crate::store::columns::ReadColumns;
use crate::store::operation::Forgotten;

/// Whether a row of a run `r` exists. With `EXISTS` the server may read all rows of a table, to have
/// them for many runs.
macro_rules! has {
    ($($from_where:expr),+) => {
        concat!("coalesce((SELECT true FROM hookline.", $($from_where),+, " LIMIT 1), false)")
    };
}

/// The condition on an event `e` of a run `r` that no replay has seen.
macro_rules! unseen {
    () => {
        "e.run_id = r.run_id AND e.position > coalesce((SELECT p.replayed_position \
           FROM hookline.replays AS p WHERE p.run_id = r.run_id), 0)"
    };
}

/// The facts about a run `r`. The first parameter is the time.
macro_rules! prospects {
    () => {
        concat!(
            "r.status, r.spec_version, ",
            has!("messages AS m WHERE m.run_id = r.run_id AND m.step_id IS NULL"),
            ", ",
            has!("messages AS m WHERE m.run_id = r.run_id AND m.step_id IS NOT NULL"),
            ", ",
            has!("events AS e WHERE ", unseen!(), " AND e.event_type = 'hook_received'"),
            ", ",
            has!(
                "events AS e WHERE ",
                unseen!(),
                " AND e.event_type IN ('step_completed', 'step_failed')"
            ),
            ", ",
            has!(
                "waits AS w WHERE w.run_id = r.run_id AND w.completed_at_ms IS NULL \
                 AND w.resume_at_ms <= $1"
            )
        )
    };
}

fn prospects_from(columns: &mut Columns<'_>) -> Result<Prospects, WorldError> {
    Ok(Prospects {
        status: columns.word(RunStatus::parse)?,
        spec_version: columns.version()?,
        has_replay: columns.take()?,
        has_step: columns.take()?,
        has_unseen_resume: columns.take()?,
        has_unseen_step_end: columns.take()?,
        has_overdue_wait: columns.take()?,
    })
}

/// Searches a slice of the active runs, along the index on status, workflow and run, in whose order the
/// active statuses are the last two.
pub(super) async fn find(
    db: &Db,
    after: Option<&ActivePlace>,
    limit: usize,
    now_ms: i64,
) -> Result<Forgotten, WorldError> {
    const ACTIVE: &str = concat!(
        "SELECT ",
        prospects!(),
        ", r.workflow_name, r.run_id FROM hookline.runs AS r \
         WHERE (r.status, r.workflow_name, r.run_id) > ($2, $3, $4) \
         ORDER BY r.status, r.workflow_name, r.run_id LIMIT $5"
    );
    let (status, workflow_name, run_id) = match after {
        Some(at) => (at.status, at.workflow_name.as_str(), at.run_id.as_str()),
        None => (RunStatus::Pending, "", ""),
    };
    let values = values![now_ms, status.as_str(), workflow_name, run_id, limit];
    let rows = db.rows(ACTIVE, &values).await?;
    let mut found = Forgotten { runs: Vec::new(), next: None };
    for row in &rows {
        let mut columns = Columns::of(row);
        let prospects = prospects_from(&mut columns)?;
        let workflow_name = columns.take()?;
        let run_id = columns.run_id()?;
        if is_forgotten(&prospects) {
            found.runs.push(run_id.clone());
        }
        found.next = Some(ActivePlace { status: prospects.status, workflow_name, run_id });
    }
    if rows.len() < limit {
        found.next = None;
    }
    Ok(found)
}

/// The facts about a run.
pub(super) async fn prospects(
    db: &Db,
    run_id: &RunId,
    now_ms: i64,
) -> Result<Option<Prospects>, WorldError> {
    const PROSPECTS: &str =
        concat!("SELECT ", prospects!(), " FROM hookline.runs AS r WHERE r.run_id = $2");
    let row = db.first(PROSPECTS, &values![now_ms, run_id]).await?;
    row.map(|row| prospects_from(&mut Columns::of(&row))).transpose()
}
