//! Table `events`: the log.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use super::db::{Columns, Db, values};
use super::entity_events;
use super::fault;
use super::loaded::EntityKey;
use super::queue_time::reached;
use super::rows::payload_from;
use super::runs::join_run;
use super::writes::{Does, Kind, Write};
use crate::domain::event::Event;
use crate::domain::id::{CorrelationId, Position, RunId};
use crate::domain::page::{EventPlace, Page, PageRequest, SortOrder};
use crate::domain::payload::Payload;
use crate::domain::transition::{LogPart, Tail};
use crate::error::WorldError;
use crate::store::EventQuery;
use crate::store::columns::{ReadColumns, event_from, format_and_bytes};

/// Selects the columns of [`event_of`] from events `e` and their runs `r`: of one run that the condition
/// names, or from these tables. `$1` says whether the payload is wanted.
macro_rules! select_events {
    () => {
        select_events!("hookline.events AS e JOIN hookline.runs AS r ON r.run_id = e.run_id")
    };
    ($events_and_runs:expr) => {
        concat!(
            "SELECT e.run_id, e.position, e.event_type, e.correlation_id, e.created_at_ms, \
             e.spec_version, e.data, e.resume_id, e.resume_digest, r.spec_version, \
             CASE WHEN $1 THEN e.payload_format END, CASE WHEN $1 THEN e.payload END FROM ",
            $events_and_runs
        )
    };
}
pub(super) use select_events;

pub(super) fn event_of(row: &Row) -> Result<Event, WorldError> {
    let mut columns = Columns::of(row);
    let event = event_from(&mut columns)?;
    let run_spec_version = columns.version()?;
    let payload = payload_from(&mut columns)?;
    Ok(Event { run_spec_version, payload, ..event })
}

pub(super) fn insert(event: &Event) -> Write {
    macro_rules! insert {
        () => {
            "INSERT INTO hookline.events (run_id, position, event_type, correlation_id, \
             created_at_ms, spec_version, data, resume_id, resume_digest, payload_format, payload) "
        };
    }
    const INSERT: &str =
        concat!(insert!(), "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
    static INSERTS: Kind = Kind {
        table: "events",
        many: concat!(
            insert!(),
            "SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        ),
        key: 2,
        does: Does::Insert,
    };
    let (format, payload) = format_and_bytes(event.payload.as_ref());
    let columns = values![
        &event.run_id,
        event.position,
        event.event_type.as_str(),
        event.correlation_id.as_ref(),
        event.created_at_ms,
        event.spec_version,
        &event.data,
        event.resume.as_ref().map(|resume| resume.id.as_str()),
        event.resume.as_ref().and_then(|resume| resume.payload_digest.as_deref()),
        format,
        payload,
    ];
    Write::of(&INSERTS, INSERT, columns)
}

/// Drops the payloads of a run's log, and the digests of some.
pub(super) fn drop_values(run_id: &RunId) -> Write {
    // The name of a resume by a step holds a digest too: `StepResume::without_payload`.
    const DROP: &str = "UPDATE hookline.events SET resume_digest = NULL, payload_format = NULL, \
         payload = NULL, resume_id = CASE WHEN resume_id LIKE 'step:%' \
           THEN 'step:' || split_part(resume_id, ':', 2) || '::' || position || ':' \
           ELSE resume_id END \
         WHERE run_id = $1 AND (payload_format IS NOT NULL OR resume_digest IS NOT NULL)";
    Write::new(DROP, values![run_id])
}

/// The arguments of these runs: the payload of the event that each names.
pub(super) async fn inputs(
    db: &Db,
    run_ids: Vec<String>,
) -> Result<Vec<((RunId, Position), Option<Payload>)>, WorldError> {
    const INPUTS: &str = concat!(
        "SELECT e.run_id, e.position, e.payload_format, e.payload FROM unnest($1) AS k(run_id)",
        join_run!("k.run_id"),
        " CROSS JOIN LATERAL (SELECT l.* FROM hookline.events AS l \
           WHERE l.run_id = k.run_id AND l.position = r.input_position OFFSET 0) AS e"
    );
    let rows = db.rows(INPUTS, &values![run_ids]).await?;
    let input_of = |row: &Row| {
        let mut columns = Columns::of(row);
        let key = (columns.run_id()?, columns.take()?);
        Ok((key, payload_from(&mut columns)?))
    };
    rows.iter().map(input_of).collect()
}

/// The end of the run's log.
pub(super) async fn tail(db: &Db, run_id: &RunId) -> Result<Option<Tail>, WorldError> {
    const TAIL: &str = "SELECT position, created_at_ms FROM hookline.events WHERE run_id = $1 \
         ORDER BY position DESC LIMIT 1";
    let row = db.first(TAIL, &values![run_id]).await?;
    row.map(|row| {
        let mut columns = Columns::of(&row);
        Ok(Tail { position: columns.take()?, created_at_ms: columns.take()? })
    })
    .transpose()
}

/// What a transaction reads of the database as a whole, and the ends of logs.
pub(super) struct Head {
    pub(super) now_ms: i64,
    /// The id of the transaction, if it was asked for.
    pub(super) transaction: Option<i64>,
    /// The latest time that any process on the database has reached, if it is later than was known.
    pub(super) reached_ms: i64,
    pub(super) tails: Vec<(RunId, Tail)>,
}

/// The time and the transaction, and the ends of the logs of these runs. `queue_ms` is how far this process
/// knows the queue's time to be.
pub(super) async fn head(
    db: &Db,
    run_ids: Vec<String>,
    names: bool,
    queue_ms: i64,
) -> Result<Head, WorldError> {
    const HEAD: &str = concat!(
        "SELECT h.now_ms, h.transaction, h.reached_ms, t.run_id, t.position, t.created_at_ms FROM \
         (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms, \
           CASE WHEN $2 THEN pg_current_xact_id()::text::bigint END AS transaction, ",
        reached!("$3"),
        " AS reached_ms) AS h LEFT JOIN (SELECT k.run_id, e.position, e.created_at_ms \
           FROM unnest($1) AS k(run_id) CROSS JOIN LATERAL (\
             SELECT e.position, e.created_at_ms FROM hookline.events AS e \
             WHERE e.run_id = k.run_id ORDER BY e.position DESC LIMIT 1) AS e) AS t ON true"
    );
    let rows = db.rows(HEAD, &values![run_ids, names, queue_ms]).await?;
    let first = rows.first().ok_or_else(|| fault::damage("no time"))?;
    let mut columns = Columns::of(first);
    let (now_ms, transaction) = (columns.take()?, columns.take()?);
    let reached_ms = columns.take::<Option<i64>>()?.unwrap_or_default();
    let tail_of = |row: &Row| {
        let mut columns = Columns::after(row, 3);
        let Some(run_id) = columns.take::<Option<String>>()? else { return Ok(None) };
        let tail = Tail { position: columns.take()?, created_at_ms: columns.take()? };
        Ok(Some((RunId::new(run_id), tail)))
    };
    let tails = rows.iter().filter_map(|row| tail_of(row).transpose());
    let tails = tails.collect::<Result<_, WorldError>>()?;
    Ok(Head { now_ms, transaction, reached_ms, tails })
}

pub(super) async fn one(
    db: &Db,
    sql: &'static str,
    values: &[super::db::Value],
) -> Result<Option<Event>, WorldError> {
    db.first(sql, values).await?.map(|row| event_of(&row)).transpose()
}

pub(super) async fn at(
    db: &Db,
    run_id: &RunId,
    position: Position,
    resolve_data: bool,
) -> Result<Option<Event>, WorldError> {
    const AT: &str = concat!(select_events!(), " WHERE e.run_id = $2 AND e.position = $3");
    one(db, AT, &values![resolve_data, run_id, position]).await
}

/// The event that created a hook, with the hook's metadata.
pub(super) async fn hook_created(
    db: &Db,
    run_id: &RunId,
    hook_id: &CorrelationId,
) -> Result<Option<Event>, WorldError> {
    const HOOK_CREATED: &str = concat!(
        select_events!(),
        " WHERE e.correlation_id = $2 AND e.run_id = $3 AND e.event_type = 'hook_created'"
    );
    one(db, HOOK_CREATED, &values![true, hook_id, run_id]).await
}

/// Those of these names, each of a run, that an `attr_set` has.
pub(super) async fn attributes_set(
    db: &Db,
    (run_ids, names): (Vec<String>, Vec<String>),
) -> Result<HashSet<EntityKey>, WorldError> {
    const SET: &str = "SELECT k.run_id, k.id FROM unnest($1, $2) AS k(run_id, id) \
         CROSS JOIN LATERAL (SELECT FROM hookline.events AS e WHERE e.correlation_id = k.id \
           AND e.run_id = k.run_id AND e.event_type = 'attr_set' LIMIT 1) AS e";
    let rows = db.rows(SET, &values![run_ids, names]).await?;
    let key_of = |row: &Row| {
        let mut columns = Columns::of(row);
        Ok((columns.run_id()?, CorrelationId::new(columns.take::<String>()?)))
    };
    rows.iter().map(key_of).collect()
}

/// Events of one run, of all runs with a correlation id, or of one run with a correlation id.
pub(super) async fn list(db: &Db, query: &EventQuery) -> Result<Page<Event>, WorldError> {
    let after = query.page.after_event()?;
    match (&query.run_id, &query.correlation_id) {
        (run_id, Some(correlation_id)) => {
            entity_events::list(db, run_id.as_ref(), correlation_id, query, after).await
        }
        (Some(run_id), None) => {
            let after = after.map(|place| place.position);
            let events = log(db, run_id, query, after).await?;
            Ok(Page::from_lookahead(events, query.page.limit, EventPlace::key_of))
        }
        (None, None) => Ok(Page::from_lookahead(Vec::new(), query.page.limit, EventPlace::key_of)),
    }
}

/// Reads a part of a run's log, one event more than a page. A log is dense, so a missing position means
/// a lost event.
async fn log(
    db: &Db,
    run_id: &RunId,
    query: &EventQuery,
    after: Option<Position>,
) -> Result<Vec<Event>, WorldError> {
    const FORWARDS: &str = concat!(
        select_events!(),
        " WHERE e.run_id = $2 AND e.position > $3 ORDER BY e.position LIMIT $4"
    );
    const BACKWARDS: &str = concat!(
        select_events!(),
        " WHERE e.run_id = $2 AND e.position < $3 ORDER BY e.position DESC LIMIT $4"
    );
    let PageRequest { limit, order, .. } = query.page;
    let (sql, edge, step) = match order {
        SortOrder::Ascending => (FORWARDS, after.unwrap_or(0), 1),
        SortOrder::Descending => (BACKWARDS, after.unwrap_or(Position::MAX), -1),
    };
    let rows = db.rows(sql, &values![query.resolve_data, run_id, edge, limit + 1]).await?;
    let events = rows.iter().map(event_of).collect::<Result<Vec<_>, _>>()?;
    match events.windows(2).find(|pair| pair[1].position != pair[0].position + step) {
        None => Ok(events),
        Some(pair) => Err(fault::damage(&format!("events {run_id} {}", pair[0].position + step))),
    }
}

/// The ends of logs, each behind a position, at most `limit` events of each.
pub(super) async fn log_ends(
    db: &Db,
    behind: &HashMap<RunId, Position>,
    limit: usize,
) -> Result<Vec<Event>, WorldError> {
    const ENDS: &str = concat!(
        select_events!(concat!(
            "unnest($2, $3) AS k(run_id, after)",
            join_run!("k.run_id"),
            " CROSS JOIN LATERAL (SELECT l.* FROM hookline.events AS l WHERE l.run_id = k.run_id \
               AND l.position > k.after ORDER BY l.position LIMIT $4) AS e"
        )),
        " ORDER BY e.run_id, e.position"
    );
    let (run_ids, after): (Vec<String>, Vec<i64>) =
        behind.iter().map(|(run_id, after)| (run_id.as_str().to_owned(), *after)).unzip();
    let rows = db.rows(ENDS, &values![true, run_ids, after, limit]).await?;
    rows.iter().map(event_of).collect()
}

/// A part of a run's log, at most `limit` events. `None` for a whole log that is longer.
pub(super) async fn log_part(
    db: &Db,
    run_id: &RunId,
    part: LogPart,
    limit: usize,
) -> Result<Option<Page<Event>>, WorldError> {
    let query = EventQuery {
        run_id: Some(run_id.clone()),
        correlation_id: None,
        page: PageRequest::first(part.page_limit(limit)),
        resolve_data: true,
    };
    let events = log(db, run_id, &query, Some(part.after())).await?;
    Ok(part.page(events, limit))
}
