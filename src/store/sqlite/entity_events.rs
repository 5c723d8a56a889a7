//! The events of one step, hook, wait or change of attributes.
//!
//! A log has no index on them, so that a resume does not pay for one. Only the event that creates an
//! entity is indexed. From there on, a part of the log is scanned.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::checksum::Check;
use super::events::{EVENTS, event_columns, event_of, key, select, tail};
use crate::domain::event::Event;
use crate::domain::id::{CorrelationId, Position, RunId};
use crate::domain::page::{EventPlace, Page, SCANNED_MAX, SortOrder, scanned};
use crate::store::EventQuery;

/// The condition of the index `events_opening_entities`, with the same words.
macro_rules! opens_an_entity {
    () => {
        "(event_type = 'step_created' OR event_type = 'hook_created' \
           OR event_type = 'hook_conflict' OR event_type = 'wait_created' \
           OR event_type = 'attr_set')"
    };
}

/// Checks the events that create entities, through their index.
const CHECK_OPENING: Check = Check {
    rows: concat!(
        "SELECT ",
        event_columns!(),
        " FROM (SELECT * FROM events INDEXED BY events_opening_entities WHERE ",
        opens_an_entity!(),
        ")"
    ),
    verify: |row| EVENTS.verify(row, 0),
};

/// A page of the entity's events, in one run or in all runs.
pub(super) fn list(
    connection: &Connection,
    run_id: Option<&RunId>,
    correlation_id: &CorrelationId,
    query: &EventQuery,
    mut after: Option<EventPlace>,
) -> Result<Page<Event>> {
    let limit = query.page.limit;
    let mut looking = Looking { correlation_id, query, left: SCANNED_MAX };
    let mut events = Vec::new();
    let mut run = match run_id {
        Some(run_id) => Some(run_id.clone()),
        None => {
            let place = after.as_ref().map(|place| &place.run_id);
            next_run(connection, correlation_id, query.page.order, place, true)?
        }
    };
    let mut goes_on_behind = None;
    while let Some(current) = run {
        let behind = after.take().filter(|place| place.run_id == current);
        let behind = behind.map(|place| place.position);
        let wanted = limit + 1 - events.len();
        let last = looking.through(connection, &current, behind, wanted, &mut events)?;
        if events.len() > limit {
            break;
        }
        if looking.left == 0 {
            goes_on_behind = last.map(|position| EventPlace { run_id: current, position }.key());
            break;
        }
        run = match run_id {
            Some(_) => None,
            None => next_run(connection, correlation_id, query.page.order, Some(&current), false)?,
        };
    }
    let correlation_id = params![correlation_id.as_str()];
    CHECK_OPENING.around(connection, &["correlation_id"], correlation_id)?;
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
    fn through(
        &mut self,
        connection: &Connection,
        run_id: &RunId,
        behind: Option<Position>,
        wanted: usize,
        events: &mut Vec<Event>,
    ) -> Result<Option<Position>> {
        let opened = opened_at(connection, run_id, self.correlation_id)?;
        let Some((opened, tail)) = opened.zip(tail(connection, run_id)?) else { return Ok(None) };
        let order = self.query.page.order;
        let Some((first, last)) = scanned(order, (opened, tail.position), behind, self.left) else {
            return Ok(None);
        };
        self.left -= last - first + 1;
        let direction = if order == SortOrder::Ascending { "ASC" } else { "DESC" };
        let resolve_data = self.query.resolve_data;
        let sql = format!(
            "{} WHERE run_id = ? AND position BETWEEN ? AND ? \
             AND correlation_id = ? ORDER BY position {direction} LIMIT ?",
            select(resolve_data)
        );
        let correlation_id = self.correlation_id.as_str();
        let values = params![run_id.as_str(), first, last, correlation_id, wanted as i64];
        let mut statement = connection.prepare_cached(&sql)?;
        for event in statement.query_map(values, |row| event_of(row, resolve_data))? {
            events.push(event?);
        }
        Ok(Some(if order == SortOrder::Ascending { last } else { first }))
    }
}

/// The position of the event that created the entity in a run.
fn opened_at(
    connection: &Connection,
    run_id: &RunId,
    correlation_id: &CorrelationId,
) -> Result<Option<Position>> {
    const OPENED_AT: &str = concat!(
        "SELECT min(position) FROM events INDEXED BY events_opening_entities \
         WHERE correlation_id = ? AND run_id = ? AND ",
        opens_an_entity!()
    );
    connection
        .prepare_cached(OPENED_AT)?
        .query_row([correlation_id.as_str(), run_id.as_str()], |row| row.get(0))
}

/// The next run that has an entity with this id: the run of `from` itself, or a later one.
fn next_run(
    connection: &Connection,
    correlation_id: &CorrelationId,
    order: SortOrder,
    from: Option<&RunId>,
    or_itself: bool,
) -> Result<Option<RunId>> {
    let (comparison, direction, edge) = match order {
        SortOrder::Ascending => (">", "ASC", ""),
        // Sorts after every id.
        SortOrder::Descending => ("<", "DESC", "~"),
    };
    let or_itself = if or_itself { "=" } else { "" };
    let sql = format!(
        "SELECT run_id FROM events INDEXED BY events_opening_entities WHERE correlation_id = ? \
         AND run_id {comparison}{or_itself} ? AND {} ORDER BY run_id {direction} LIMIT 1",
        opens_an_entity!()
    );
    let run_id = from.map_or(edge, RunId::as_str);
    let run_of = |row: &Row<'_>| Ok(RunId::new(row.get::<_, String>(0)?));
    connection.prepare_cached(&sql)?.query_row([correlation_id.as_str(), run_id], run_of).optional()
}
