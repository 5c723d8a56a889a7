//! The events of one step, hook, wait or change of attributes: loads the rows for
//! [`crate::domain::entity_search`].
//!
//! A log has no index on them, so that a resume does not pay for one. Only the event that creates an
//! entity is indexed.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::checksum::Check;
use super::events::{EVENTS, event_columns, event_of, select, tail};
use crate::domain::entity_search::{EntitySearch, Wants};
use crate::domain::event::Event;
use crate::domain::id::{CorrelationId, Position, RunId};
use crate::domain::page::{EventPlace, Page, SortOrder};
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
    after: Option<EventPlace>,
) -> Result<Page<Event>> {
    let order = query.page.order;
    let mut search = EntitySearch::new(run_id, &query.page, after);
    loop {
        match search.wants() {
            Wants::Run { from, or_itself } => {
                let from = from.as_ref();
                search.run(next_run(connection, correlation_id, order, from, or_itself)?);
            }
            Wants::Ends(run_id) => {
                let opened = opened_at(connection, &run_id, correlation_id)?;
                let end = tail(connection, &run_id)?.map(|tail| tail.position);
                search.ends(opened.zip(end));
            }
            Wants::Events { run_id, first, last, limit } => {
                let direction = if order == SortOrder::Ascending { "ASC" } else { "DESC" };
                let resolve_data = query.resolve_data;
                let sql = format!(
                    "{} WHERE run_id = ? AND position BETWEEN ? AND ? \
                     AND correlation_id = ? ORDER BY position {direction} LIMIT ?",
                    select(resolve_data)
                );
                let values =
                    params![run_id.as_str(), first, last, correlation_id.as_str(), limit as i64];
                let mut statement = connection.prepare_cached(&sql)?;
                let events = statement.query_map(values, |row| event_of(row, resolve_data))?;
                search.events(events.collect::<Result<_>>()?);
            }
            Wants::Nothing(_) => break,
        }
    }
    let correlation_id = params![correlation_id.as_str()];
    CHECK_OPENING.around(connection, &["correlation_id"], correlation_id)?;
    Ok(search.page())
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
