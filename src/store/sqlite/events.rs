//! Table `events`: the log.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, OptionalExtension, Result, Row, ToSql, params};

use super::checksum::{self, Check, Table};
use super::long_values::{self, Stored};
use super::{entity_events, runs};
use crate::domain::event::Event;
use crate::domain::id::{CorrelationId, Position, RunId};
use crate::domain::page::{EventPlace, Page, PageRequest, SortOrder};
use crate::domain::payload::Payload;
use crate::domain::retention::Keeping;
use crate::domain::run::Run;
use crate::domain::transition::{LogPart, Tail};
use crate::error::WorldError;
use crate::store::EventQuery;
use crate::store::columns::{event_from, format_and_bytes, payload_of};

/// The columns of an event's row without its payload.
macro_rules! columns {
    () => {
        "run_id, position, event_type, correlation_id, created_at_ms, spec_version, data, \
         resume_id, resume_digest, payload_format, payload_checksum, checksum"
    };
}

/// The columns of [`payload_from`]. The argument is put before each name. A subquery reads a long
/// payload, because it runs only for rows that have one; a join would begin for every row.
macro_rules! payload_columns {
    ($of:literal) => {
        concat!(
            $of,
            "payload_format, ",
            $of,
            "payload_checksum, CASE WHEN ",
            $of,
            "payload_number IS NULL THEN ",
            $of,
            "payload ELSE (SELECT bytes FROM long_values WHERE number = ",
            $of,
            "payload_number) END"
        )
    };
}
pub(super) use {columns as event_columns, payload_columns};

pub(super) static EVENTS: Table = Table { name: "events", columns: 11, key: &[0, 1] };
/// The number of [`payload_columns`].
pub(super) const PAYLOAD_COLUMNS: usize = 3;

pub(super) fn insert(connection: &Connection, event: &Event, keeping: Keeping) -> Result<()> {
    const INSERT: &str = concat!(
        "INSERT INTO events (",
        columns!(),
        ", payload, payload_number) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    let (format, payload) = format_and_bytes(event.payload.as_ref());
    let format = format.map(i64::from);
    let checksum = format
        .zip(payload)
        .map(|(format, payload)| payload_checksum(&event.run_id, event.position, format, payload));
    let stored =
        payload.map(|payload| long_values::store(connection, payload, keeping)).transpose()?;
    let Stored { in_row, number } = stored.unwrap_or_default();
    write(connection, INSERT, event, (format, checksum), params![in_row, number])
}

/// Runs a statement whose parameters are the [`columns`] and the `rest`.
fn write(
    connection: &Connection,
    sql: &str,
    event: &Event,
    (format, checksum): (Option<i64>, Option<i32>),
    rest: &[&dyn ToSql],
) -> Result<()> {
    let columns = params![
        event.run_id.as_str(),
        event.position,
        event.event_type.as_str(),
        event.correlation_id.as_ref().map(CorrelationId::as_str),
        event.created_at_ms,
        event.spec_version,
        event.data,
        event.resume.as_ref().map(|resume| &resume.id),
        event.resume.as_ref().and_then(|resume| resume.payload_digest.as_ref()),
        format,
        checksum,
    ];
    EVENTS.write(&mut *connection.prepare_cached(sql)?, columns, rest)?;
    Ok(())
}

/// Drops the payloads of a run's log, and the digests of some.
pub(super) fn drop_values(connection: &Connection, run_id: &RunId) -> Result<()> {
    const DELETE_LONG: &str = "DELETE FROM long_values WHERE number IN \
         (SELECT payload_number FROM events WHERE run_id = ? AND payload_number IS NOT NULL)";
    const WITH_VALUES: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM events WHERE run_id = ? \
         AND (payload_format IS NOT NULL OR resume_digest IS NOT NULL)"
    );
    const DROP: &str = "UPDATE events SET resume_id = ?8, resume_digest = ?9, \
         payload_format = ?10, payload_checksum = ?11, checksum = ?12, payload = NULL, payload_number = NULL \
         WHERE run_id = ?1 AND position = ?2";
    connection.prepare_cached(DELETE_LONG)?.execute([run_id.as_str()])?;
    let mut with_values = connection.prepare_cached(WITH_VALUES)?;
    let events = with_values.query_map([run_id.as_str()], |row| event_of(row, false))?;
    for mut event in events.collect::<Result<Vec<Event>>>()? {
        event.drop_values();
        write(connection, DROP, &event, (None, None), &[])?;
    }
    Ok(())
}

/// The position of a run's last event; 0 if it has none.
pub(super) fn end(connection: &Connection, run_id: &RunId) -> Result<Position> {
    const END: &str = "SELECT ifnull(max(position), 0) FROM events WHERE run_id = ?";
    connection.prepare_cached(END)?.query_row([run_id.as_str()], |row| row.get(0))
}

/// The end of the run's log.
pub(super) fn tail(connection: &Connection, run_id: &RunId) -> Result<Option<Tail>> {
    const TAIL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM events WHERE run_id = ? ORDER BY position DESC LIMIT 1"
    );
    let tail_of = |row: &Row<'_>| {
        let mut columns = EVENTS.read(row, 0);
        columns.skip(1)?;
        let position = columns.take()?;
        columns.skip(2)?;
        let created_at_ms = columns.take()?;
        columns.skip(6)?;
        columns.end()?;
        Ok(Tail { position, created_at_ms })
    };
    connection.prepare_cached(TAIL)?.query_row([run_id.as_str()], tail_of).optional()
}

/// The payload of an event whose position an entity names.
///
/// # Errors
/// Damage, even if the event does not exist.
pub(super) fn payload_at(
    connection: &Connection,
    run_id: &RunId,
    position: Position,
) -> Result<Option<Payload>> {
    const PAYLOAD: &str =
        concat!("SELECT ", payload_columns!(""), " FROM events WHERE run_id = ? AND position = ?");
    connection
        .prepare_cached(PAYLOAD)?
        .query_row(params![run_id.as_str(), position], |row| {
            // A step may have been created without arguments. Its row then has no payload.
            match row.get_ref(0)? == ValueRef::Null && row.get_ref(2)? == ValueRef::Null {
                true => check_row(connection, run_id, position).map(|()| None),
                false => payload_from(row, 0, run_id, position),
            }
        })
        .optional()?
        .ok_or_else(|| missing(run_id, position))
}

fn check_row(connection: &Connection, run_id: &RunId, position: Position) -> Result<()> {
    const ROW: &str =
        concat!("SELECT ", columns!(), " FROM events WHERE run_id = ? AND position = ?");
    connection
        .prepare_cached(ROW)?
        .query_row(params![run_id.as_str(), position], |row| EVENTS.verify(row, 0))
}

/// The error of an event that must exist.
fn missing(run_id: &RunId, position: Position) -> Error {
    checksum::damage(EVENTS.name, format!("{run_id} {position}"))
}

/// The checksum of a payload. A payload can be checked without the rest of its row. The rest can be
/// checked without the payload, because it covers the payload's checksum.
pub(super) fn payload_checksum(
    run_id: &RunId,
    position: Position,
    format: i64,
    payload: &[u8],
) -> i32 {
    checksum::of_values(
        "payload",
        &[
            ValueRef::Text(run_id.as_str().as_bytes()),
            ValueRef::Integer(position),
            ValueRef::Integer(format),
            ValueRef::Blob(payload),
        ],
    )
}

/// Checks and reads the [`payload_columns`] of an event that has a payload.
pub(super) fn payload_from(
    row: &Row<'_>,
    at: usize,
    run_id: &RunId,
    position: Position,
) -> Result<Option<Payload>> {
    let columns = (row.get_ref(at)?, row.get_ref(at + 1)?, row.get_ref(at + 2)?);
    let (ValueRef::Integer(format), ValueRef::Integer(checksum), ValueRef::Blob(payload)) = columns
    else {
        return Err(missing(run_id, position));
    };
    let is_sound = i64::from(payload_checksum(run_id, position, format, payload)) == checksum;
    let payload = is_sound.then(|| payload_of(format, payload.to_vec())).flatten();
    payload.map(Some).ok_or_else(|| missing(run_id, position))
}

/// Checks every event and its payload.
pub(super) const CHECK: Check = Check {
    rows: concat!("SELECT ", columns!(), ", ", payload_columns!(""), " FROM events"),
    verify: |row| event_of(row, true).map(drop),
};

/// Checks events without their payloads.
const CHECK_ROWS: Check = Check {
    rows: concat!("SELECT ", columns!(), " FROM events"),
    verify: |row| EVENTS.verify(row, 0),
};

/// Selects the columns of [`event_of`] from events, with the payload only if `resolve_data` is set.
pub(super) fn select(resolve_data: bool) -> &'static str {
    match resolve_data {
        true => concat!("SELECT ", columns!(), ", ", payload_columns!(""), " FROM events"),
        false => concat!("SELECT ", columns!(), " FROM events"),
    }
}

/// The index of the [`payload_columns`] after the [`columns`].
const PAYLOAD_AT: usize = 12;

/// Reads an event. The caller fills in its run's spec version.
pub(super) fn event_of(row: &Row<'_>, resolve_data: bool) -> Result<Event> {
    let mut columns = EVENTS.read(row, 0);
    let mut event = event_from(&mut columns)?;
    let format: Option<i64> = columns.take()?;
    columns.skip(1)?;
    columns.end()?;
    if resolve_data && format.is_some() {
        event.payload = payload_from(row, PAYLOAD_AT, &event.run_id, event.position)?;
    }
    Ok(event)
}

/// Fills in the spec versions of the runs, which decide the events' ids.
pub(super) fn of_their_runs(connection: &Connection, events: &mut [Event]) -> Result<()> {
    let mut known: Option<(RunId, u32)> = None;
    for event in events {
        let spec_version = match &known {
            Some((run_id, spec_version)) if *run_id == event.run_id => *spec_version,
            _ => {
                let run = runs::by_id(connection, &event.run_id)?;
                let run = run.ok_or_else(|| checksum::damage("runs", event.run_id.as_str()))?;
                known = Some((run.run_id, run.spec_version));
                run.spec_version
            }
        };
        event.run_spec_version = spec_version;
    }
    Ok(())
}

pub(super) fn at(
    connection: &Connection,
    run: &Run,
    position: Position,
    resolve_data: bool,
) -> Result<Option<Event>> {
    let sql = format!("{} WHERE run_id = ? AND position = ?", select(resolve_data));
    let event = connection
        .prepare_cached(&sql)?
        .query_row(params![run.run_id.as_str(), position], |row| event_of(row, resolve_data))
        .optional()?;
    Ok(event.map(|event| Event { run_spec_version: run.spec_version, ..event }))
}

/// The event that created a hook, with the hook's metadata.
pub(super) fn hook_created(
    connection: &Connection,
    run_id: &RunId,
    hook_id: &CorrelationId,
) -> Result<Option<Event>> {
    const HOOK_CREATED: &str = concat!(
        "SELECT ",
        columns!(),
        ", ",
        payload_columns!(""),
        " FROM events INDEXED BY events_opening_entities \
         WHERE correlation_id = ? AND run_id = ? AND event_type = 'hook_created'"
    );
    let mut event = connection
        .prepare_cached(HOOK_CREATED)?
        .query_row([hook_id.as_str(), run_id.as_str()], |row| event_of(row, true))
        .optional()?;
    of_their_runs(connection, event.as_mut_slice())?;
    Ok(event)
}

/// Whether a run has an `attr_set` with this name.
pub(super) fn has_set_attributes(
    connection: &Connection,
    run_id: &RunId,
    id: &CorrelationId,
) -> Result<bool> {
    const HAS_SET: &str = "SELECT EXISTS (SELECT 1 FROM events INDEXED BY events_opening_entities \
         WHERE correlation_id = ? AND run_id = ? AND event_type = 'attr_set')";
    connection.prepare_cached(HAS_SET)?.query_row([id.as_str(), run_id.as_str()], |row| row.get(0))
}

/// Events of one run, of all runs with a correlation id, or of one run with a correlation id.
pub(super) fn list(
    connection: &Connection,
    query: &EventQuery,
) -> std::result::Result<Page<Event>, WorldError> {
    let after = query.page.after_event()?;
    let mut page = match (&query.run_id, &query.correlation_id) {
        (run_id, Some(correlation_id)) => {
            entity_events::list(connection, run_id.as_ref(), correlation_id, query, after)?
        }
        (Some(run_id), None) => {
            let after = after.map(|place| place.position);
            Page::from_lookahead(
                log(connection, run_id, query, after)?,
                query.page.limit,
                EventPlace::key_of,
            )
        }
        (None, None) => Page::from_lookahead(Vec::new(), query.page.limit, EventPlace::key_of),
    };
    of_their_runs(connection, &mut page.items)?;
    Ok(page)
}

/// The comparison and the order in SQL.
fn words(order: SortOrder) -> (&'static str, &'static str) {
    match order {
        SortOrder::Ascending => (">", "ASC"),
        SortOrder::Descending => ("<", "DESC"),
    }
}

/// Reads a part of a run's log, one event more than a page. A log is dense, so a missing position means
/// a lost event. The row after the end of the log is checked too: it belongs to another run, or its key
/// is damaged.
fn log(
    connection: &Connection,
    run_id: &RunId,
    query: &EventQuery,
    after: Option<Position>,
) -> Result<Vec<Event>> {
    let PageRequest { limit, order, .. } = query.page;
    let (comparison, direction) = words(order);
    let sql = format!(
        "{} WHERE (run_id, position) {comparison} (?, ?) \
         ORDER BY run_id {direction}, position {direction} LIMIT ?",
        select(query.resolve_data)
    );
    let (edge, step, mut expected) = match (order, after) {
        (SortOrder::Ascending, after) => {
            let edge = after.unwrap_or(0);
            (edge, 1, Some(edge + 1))
        }
        (SortOrder::Descending, Some(after)) => (after, -1, Some(after - 1)),
        (SortOrder::Descending, None) => {
            CHECK_ROWS.after(connection, &["run_id"], params![run_id.as_str()])?;
            (Position::MAX, -1, None)
        }
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![run_id.as_str(), edge, (limit + 1) as i64])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get_ref(0)?.as_str().ok() != Some(run_id.as_str()) {
            EVENTS.verify(row, 0)?;
            break;
        }
        let event = event_of(row, query.resolve_data)?;
        if let Some(expected) = expected.filter(|expected| *expected != event.position) {
            return Err(missing(run_id, expected));
        }
        expected = Some(event.position + step);
        events.push(event);
    }
    // In descending order a log ends with its first event.
    match expected.filter(|_| order == SortOrder::Descending && events.len() <= limit) {
        Some(lost) if lost > 0 => Err(missing(run_id, lost)),
        _ => Ok(events),
    }
}

/// A part of a run's log, at most `limit` events. `None` for a whole log that is longer.
pub(super) fn log_part(
    connection: &Connection,
    run_id: &RunId,
    part: LogPart,
    limit: usize,
) -> std::result::Result<Option<Page<Event>>, WorldError> {
    let query = EventQuery {
        run_id: Some(run_id.clone()),
        correlation_id: None,
        page: PageRequest::first(part.page_limit(limit)),
        resolve_data: true,
    };
    let mut events = log(connection, run_id, &query, Some(part.after()))?;
    of_their_runs(connection, &mut events)?;
    Ok(part.page(events, limit))
}
