//! Table `events`: the log.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::rows::{decode, payload_column, payload_columns};
use crate::domain::event::{Event, EventType};
use crate::domain::id::{CorrelationId, Position, RunId};
use crate::domain::page::{Page, PageRequest, SortOrder};
use crate::domain::payload::Payload;
use crate::domain::transition::Tail;
use crate::store::EventQuery;

pub(super) fn insert(connection: &Connection, event: &Event) -> Result<()> {
    const INSERT: &str = "INSERT INTO events (run_id, position, event_type, correlation_id, \
         created_at_ms, spec_version, data, payload_format, payload) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let (format, payload) = payload_columns(event.payload.as_ref());
    connection.prepare_cached(INSERT)?.execute(params![
        event.run_id.as_str(),
        event.position,
        event.event_type.as_str(),
        event.correlation_id.as_ref().map(CorrelationId::as_str),
        event.created_at_ms,
        event.spec_version,
        event.data,
        format,
        payload,
    ])?;
    Ok(())
}

/// Where the run's log ends.
pub(super) fn tail(connection: &Connection, run_id: &RunId) -> Result<Option<Tail>> {
    const TAIL: &str = "SELECT position, created_at_ms FROM events WHERE run_id = ? \
         ORDER BY position DESC LIMIT 1";
    connection
        .prepare_cached(TAIL)?
        .query_row([run_id.as_str()], |row| {
            Ok(Tail { position: row.get(0)?, created_at_ms: row.get(1)? })
        })
        .optional()
}

/// The payload of one event.
pub(super) fn payload_at(
    connection: &Connection,
    run_id: &RunId,
    position: Position,
) -> Result<Option<Payload>> {
    const PAYLOAD_AT: &str =
        "SELECT payload_format, payload FROM events WHERE run_id = ? AND position = ?";
    let payload = connection
        .prepare_cached(PAYLOAD_AT)?
        .query_row(params![run_id.as_str(), position], |row| payload_column(row, 0))
        .optional()?;
    Ok(payload.flatten())
}

/// The columns of [`event_of`]; the payload is read only when it is wanted.
fn columns(resolve_data: bool) -> &'static str {
    if resolve_data {
        "e.run_id, e.position, e.event_type, e.correlation_id, e.created_at_ms, e.spec_version, \
         e.data, r.spec_version, e.payload_format, e.payload"
    } else {
        "e.run_id, e.position, e.event_type, e.correlation_id, e.created_at_ms, e.spec_version, \
         e.data, r.spec_version, NULL, NULL"
    }
}

fn event_of(row: &Row<'_>) -> Result<Event> {
    Ok(Event {
        run_id: RunId::new(row.get::<_, String>(0)?),
        position: row.get(1)?,
        event_type: decode(row, 2, EventType::parse)?,
        correlation_id: row.get::<_, Option<String>>(3)?.map(CorrelationId::new),
        created_at_ms: row.get(4)?,
        spec_version: row.get(5)?,
        data: row.get(6)?,
        run_spec_version: row.get(7)?,
        payload: payload_column(row, 8)?,
    })
}

pub(super) fn at(
    connection: &Connection,
    run_id: &RunId,
    position: Position,
    resolve_data: bool,
) -> Result<Option<Event>> {
    let columns = columns(resolve_data);
    let sql = format!(
        "SELECT {columns} FROM events AS e JOIN runs AS r ON r.run_id = e.run_id \
         WHERE e.run_id = ? AND e.position = ?"
    );
    connection
        .prepare_cached(&sql)?
        .query_row(params![run_id.as_str(), position], event_of)
        .optional()
}

/// The event that made a hook, with the hook's metadata.
pub(super) fn hook_created(
    connection: &Connection,
    run_id: &RunId,
    hook_id: &CorrelationId,
) -> Result<Option<Event>> {
    let columns = columns(true);
    let sql = format!(
        "SELECT {columns} FROM events AS e INDEXED BY events_opening_entities \
         JOIN runs AS r ON r.run_id = e.run_id \
         WHERE e.correlation_id = ? AND e.run_id = ? AND e.event_type = 'hook_created'"
    );
    connection
        .prepare_cached(&sql)?
        .query_row([hook_id.as_str(), run_id.as_str()], event_of)
        .optional()
}

/// Events of one run, or of all runs that use a correlation id.
pub(super) fn list(connection: &Connection, query: &EventQuery) -> Result<Page<Event>> {
    let order = query.page.order;
    let direction = match order {
        SortOrder::Ascending => "ASC",
        SortOrder::Descending => "DESC",
    };
    let comparison = if order == SortOrder::Ascending { ">" } else { "<" };
    let mut sql = format!(
        "SELECT {} FROM events AS e JOIN runs AS r ON r.run_id = e.run_id WHERE ",
        columns(query.resolve_data)
    );
    let correlation_id = query.correlation_id.as_ref().map(CorrelationId::as_str);
    let run_id = query.run_id.as_ref().map(RunId::as_str);
    let mut values: Vec<&dyn rusqlite::ToSql> = Vec::new();
    if let Some(run_id) = &run_id {
        sql.push_str("e.run_id = ?");
        values.push(run_id);
    } else {
        // The opening event names the runs, by index; their logs are then read in order.
        sql.push_str(
            "e.run_id IN (SELECT run_id FROM events WHERE correlation_id = ? \
             AND (event_type = 'step_created' OR event_type = 'hook_created' \
             OR event_type = 'hook_conflict' OR event_type = 'wait_created'))",
        );
        values.push(&correlation_id);
    }
    if let Some(correlation_id) = &correlation_id {
        sql.push_str(" AND e.correlation_id = ?");
        values.push(correlation_id);
    }
    let after = query.page.after.as_deref().and_then(parse_key);
    if let Some((after_run, after_position)) = &after {
        if run_id.is_some() {
            sql.push_str(&format!(" AND e.position {comparison} ?"));
        } else {
            sql.push_str(&format!(" AND (e.run_id, e.position) {comparison} (?, ?)"));
            values.push(after_run);
        }
        values.push(after_position);
    }
    let limit = (query.page.limit + 1) as i64;
    sql.push_str(&format!(" ORDER BY e.run_id {direction}, e.position {direction} LIMIT ?"));
    values.push(&limit);
    let events: Vec<Event> = connection
        .prepare_cached(&sql)?
        .query_map(values.as_slice(), event_of)?
        .collect::<Result<_>>()?;
    Ok(Page::from_lookahead(events, query.page.limit, key))
}

/// The page key of an event: its run and its position.
fn key(event: &Event) -> String {
    format!("{}:{}", event.run_id, event.position)
}

/// Reads [`key`].
pub(super) fn parse_key(text: &str) -> Option<(String, Position)> {
    let (run_id, position) = text.rsplit_once(':')?;
    Some((run_id.to_owned(), position.parse().ok()?))
}

/// The whole log of a run, or `None` when it is longer than `limit`.
pub(super) fn whole_log(
    connection: &Connection,
    run_id: &RunId,
    limit: usize,
) -> Result<Option<Page<Event>>> {
    let query = EventQuery {
        run_id: Some(run_id.clone()),
        correlation_id: None,
        page: PageRequest::first(limit),
        resolve_data: true,
    };
    let page = list(connection, &query)?;
    Ok((!page.has_more).then_some(page))
}
