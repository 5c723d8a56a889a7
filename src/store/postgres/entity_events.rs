//! The events of one step, hook, wait or change of attributes.
//!
//! A log has no index on them, so that a resume does not pay for one. Only the event that creates an
//! entity is indexed. From there on, a part of the log is scanned.

use super::db::{Columns, Db, values};
use super::events::{event_of, key, select_events, tail};
use crate::domain::event::Event;
use crate::domain::id::{CorrelationId, Position, RunId};
use crate::domain::page::{EventPlace, Page, SCANNED_MAX, SortOrder, scanned};
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
    mut after: Option<EventPlace>,
) -> Result<Page<Event>, WorldError> {
    let limit = query.page.limit;
    let order = query.page.order;
    let mut looking = Looking { correlation_id, query, left: SCANNED_MAX };
    let mut events = Vec::new();
    let mut run = match run_id {
        Some(run_id) => Some(run_id.clone()),
        None => {
            let place = after.as_ref().map(|place| &place.run_id);
            next_run(db, correlation_id, order, place, true).await?
        }
    };
    let mut goes_on_behind = None;
    while let Some(current) = run {
        let behind = after.take().filter(|place| place.run_id == current);
        let behind = behind.map(|place| place.position);
        let wanted = limit + 1 - events.len();
        let last = looking.through(db, &current, behind, wanted, &mut events).await?;
        if events.len() > limit {
            break;
        }
        if looking.left == 0 {
            goes_on_behind = last.map(|position| EventPlace { run_id: current, position }.key());
            break;
        }
        run = match run_id {
            Some(_) => None,
            None => next_run(db, correlation_id, order, Some(&current), false).await?,
        };
    }
    let page = Page::from_lookahead(events, limit, key);
    Ok(match goes_on_behind {
        Some(cursor) => Page { cursor: Some(cursor), has_more: true, ..page },
        None => page,
    })
}

/// The search: its target, and the number of events that it may still scan.
struct Looking<'a> {
    correlation_id: &'a CorrelationId,
    query: &'a EventQuery,
    left: Position,
}

impl Looking<'_> {
    /// Scans the log of a run after a position. Returns the last scanned position.
    async fn through(
        &mut self,
        db: &Db,
        run_id: &RunId,
        behind: Option<Position>,
        wanted: usize,
        events: &mut Vec<Event>,
    ) -> Result<Option<Position>, WorldError> {
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
        let opened = opened_at(db, run_id, self.correlation_id).await?;
        let Some((opened, tail)) = opened.zip(tail(db, run_id).await?) else { return Ok(None) };
        let order = self.query.page.order;
        let sql = if order == SortOrder::Ascending { FORWARDS } else { BACKWARDS };
        let Some((first, last)) = scanned(order, (opened, tail.position), behind, self.left) else {
            return Ok(None);
        };
        self.left -= last - first + 1;
        let resolve_data = self.query.resolve_data;
        let values = values![resolve_data, run_id, first, last, self.correlation_id, wanted];
        for row in db.rows(sql, &values).await? {
            events.push(event_of(&row)?);
        }
        Ok(Some(if self.query.page.order == SortOrder::Ascending { last } else { first }))
    }
}

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
