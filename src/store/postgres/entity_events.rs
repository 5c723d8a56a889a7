//! The events of one step, hook, wait or change of attributes: loads the rows for
//! [`crate::domain::entity_search`].
//!
//! A log has no index on them, so that a resume does not pay for one. Only the event that creates an
//! entity is indexed.

use super::db::{Columns, Db, values};
use super::events::{event_of, select_events, tail};
use crate::domain::entity_search::{EntitySearch, Wants};
use crate::domain::event::Event;
use crate::domain::id::{CorrelationId, Position, RunId};
use crate::domain::page::{EventPlace, Page, SortOrder};
use crate::error::WorldError;
use crate::store::EventQuery;
use crate::store::columns::ReadColumns;

/// The condition of the index `events_opening_entities`.
macro_rules! opens_an_entity {
    () => {
        "event_type IN ('step_created', 'hook_created', 'hook_conflict', 'wait_created', 'attr_set')"
    };
}

/// A page of the entity's events, in one run or in all runs.
pub(super) async fn list(
    db: &Db,
    run_id: Option<&RunId>,
    correlation_id: &CorrelationId,
    query: &EventQuery,
    after: Option<EventPlace>,
) -> Result<Page<Event>, WorldError> {
    let order = query.page.order;
    let mut search = EntitySearch::new(run_id, &query.page, after);
    loop {
        match search.wants() {
            Wants::Run { from, or_itself } => {
                search.run(next_run(db, correlation_id, order, from.as_ref(), or_itself).await?);
            }
            Wants::Ends(run_id) => {
                let opened = opened_at(db, &run_id, correlation_id).await?;
                let end = tail(db, &run_id).await?.map(|tail| tail.position);
                search.ends(opened.zip(end));
            }
            Wants::Events { run_id, first, last, limit } => {
                let sql = if order == SortOrder::Ascending { FORWARDS } else { BACKWARDS };
                let resolve_data = query.resolve_data;
                let values = values![resolve_data, &run_id, first, last, correlation_id, limit];
                let rows = db.rows(sql, &values).await?;
                search.events(rows.iter().map(event_of).collect::<Result<_, _>>()?);
            }
            Wants::Nothing(_) => return Ok(search.page()),
        }
    }
}

const FORWARDS: &str = concat!(
    select_events!(),
    " WHERE e.run_id = $2 AND e.position BETWEEN $3 AND $4 AND e.correlation_id = $5 \
     ORDER BY e.position LIMIT $6"
);
const BACKWARDS: &str = concat!(
    select_events!(),
    " WHERE e.run_id = $2 AND e.position BETWEEN $3 AND $4 AND e.correlation_id = $5 \
     ORDER BY e.position DESC LIMIT $6"
);

/// The position of the event that created the entity in a run.
async fn opened_at(
    db: &Db,
    run_id: &RunId,
    correlation_id: &CorrelationId,
) -> Result<Option<Position>, WorldError> {
    const OPENED_AT: &str = concat!(
        "SELECT min(position) FROM hookline.events WHERE correlation_id = $1 AND run_id = $2 AND ",
        opens_an_entity!()
    );
    let row = db.first(OPENED_AT, &values![correlation_id, run_id]).await?;
    Ok(row.map(|row| Columns::of(&row).take()).transpose()?.flatten())
}

/// The next run that has an entity with this id: the run of `from` itself, or a later one.
async fn next_run(
    db: &Db,
    correlation_id: &CorrelationId,
    order: SortOrder,
    from: Option<&RunId>,
    or_itself: bool,
) -> Result<Option<RunId>, WorldError> {
    let (comparison, direction, edge) = match order {
        SortOrder::Ascending => (">", "ASC", ""),
        // Sorts after every id.
        SortOrder::Descending => ("<", "DESC", "~"),
    };
    let or_itself = if or_itself { "=" } else { "" };
    let sql = format!(
        "SELECT run_id FROM hookline.events WHERE correlation_id = $1 \
         AND run_id {comparison}{or_itself} $2 AND {} ORDER BY run_id {direction} LIMIT 1",
        opens_an_entity!()
    );
    let run_id = from.map_or(edge, RunId::as_str);
    let rows = db.rows_of(&sql, &values![correlation_id, run_id]).await?;
    rows.first().map(|row| Columns::of(row).run_id()).transpose()
}
