//! Table `events`: the log.

use tokio_postgres::Row;

use super::db::{Columns, Db, Write, values};
use super::entity_events;
use super::fault;
use super::rows::{format_and_bytes, payload_from};
use crate::domain::event::{Event, EventType, ResumeMark};
use crate::domain::id::{CorrelationId, Position, RunId};
use crate::domain::page::{EventPlace, Page, PageRequest, SortOrder};
use crate::domain::transition::{LogPart, Tail};
use crate::error::WorldError;
use crate::store::EventQuery;

/// Selects the columns of [`event_from`] from events `e` and their runs `r`. `$1` says whether the
/// payload is wanted.
macro_rules! select_events {
    () => {
        "SELECT e.run_id, e.position, e.event_type, e.correlation_id, e.created_at_ms, \
         e.spec_version, e.data, e.resume_id, e.resume_digest, r.spec_version, \
         CASE WHEN $1 THEN e.payload_format END, CASE WHEN $1 THEN e.payload END \
         FROM hookline.events AS e JOIN hookline.runs AS r ON r.run_id = e.run_id"
    };
}
pub(super) use select_events;

pub(super) fn event_from(row: &Row) -> Result<Event, WorldError> {
    let mut columns = Columns::of(row);
    let mut event = Event {
        run_id: columns.run_id()?,
        position: columns.take()?,
        event_type: columns.word(EventType::parse)?,
        correlation_id: columns.take::<Option<String>>()?.map(CorrelationId::new),
        created_at_ms: columns.take()?,
        spec_version: columns.version()?,
        data: columns.take()?,
        run_spec_version: 0,
        payload: None,
        resume: None,
    };
    let resume_id: Option<String> = columns.take()?;
    let payload_digest: Option<String> = columns.take()?;
    event.resume = resume_id.map(|id| ResumeMark { id, payload_digest });
    event.run_spec_version = columns.version()?;
    event.payload = payload_from(&mut columns)?;
    Ok(event)
}

pub(super) fn insert(event: &Event) -> Write {
    const INSERT: &str = "INSERT INTO hookline.events (run_id, position, event_type, \
         correlation_id, created_at_ms, spec_version, data, resume_id, resume_digest, \
         payload_format, payload) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
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
    Write::new(INSERT, columns)
}

/// Drops the payloads of a run's log, and the digests of some.
pub(super) fn drop_values(run_id: &RunId) -> Write {
    const DROP: &str = "UPDATE hookline.events SET resume_digest = NULL, payload_format = NULL, \
         payload = NULL WHERE run_id = $1 \
         AND (payload_format IS NOT NULL OR resume_digest IS NOT NULL)";
    Write::new(DROP, values![run_id])
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

/// The ends of the logs of these runs.
pub(super) async fn tails(db: &Db, run_ids: Vec<String>) -> Result<Vec<(RunId, Tail)>, WorldError> {
    const TAILS: &str = "SELECT t.run_id, e.position, e.created_at_ms FROM unnest($1) AS t(run_id) \
         CROSS JOIN LATERAL (SELECT position, created_at_ms FROM hookline.events AS e \
           WHERE e.run_id = t.run_id ORDER BY position DESC LIMIT 1) AS e";
    let rows = db.rows(TAILS, &values![run_ids]).await?;
    let tail_of = |row: &Row| {
        let mut columns = Columns::of(row);
        let run_id = columns.run_id()?;
        Ok((run_id, Tail { position: columns.take()?, created_at_ms: columns.take()? }))
    };
    rows.iter().map(tail_of).collect()
}

async fn one(db: &Db, sql: &str, values: &[super::db::Value]) -> Result<Option<Event>, WorldError> {
    db.first(sql, values).await?.map(|row| event_from(&row)).transpose()
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

/// The event of a resume, without its payload.
pub(super) async fn by_resume(
    db: &Db,
    run_id: &RunId,
    resume_id: &str,
) -> Result<Option<Event>, WorldError> {
    const BY_RESUME: &str = concat!(select_events!(), " WHERE e.run_id = $2 AND e.resume_id = $3");
    one(db, BY_RESUME, &values![false, run_id, resume_id]).await
}

/// Whether a run has an `attr_set` with this name.
pub(super) async fn has_set_attributes(
    db: &Db,
    run_id: &RunId,
    id: &CorrelationId,
) -> Result<bool, WorldError> {
    const HAS_SET: &str = "SELECT 1 FROM hookline.events \
         WHERE correlation_id = $1 AND run_id = $2 AND event_type = 'attr_set' LIMIT 1";
    Ok(db.first(HAS_SET, &values![id, run_id]).await?.is_some())
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
            Ok(Page::from_lookahead(events, query.page.limit, key))
        }
        (None, None) => Ok(Page::from_lookahead(Vec::new(), query.page.limit, key)),
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
    let events = rows.iter().map(event_from).collect::<Result<Vec<_>, _>>()?;
    match events.windows(2).find(|pair| pair[1].position != pair[0].position + step) {
        None => Ok(events),
        Some(pair) => Err(fault::damage(&format!("events {run_id} {}", pair[0].position + step))),
    }
}

/// The page key of an event.
pub(super) fn key(event: &Event) -> String {
    EventPlace { run_id: event.run_id.clone(), position: event.position }.key()
}

/// A part of a run's log, at most `limit` events. `None` for a whole log that is longer.
pub(super) async fn log_part(
    db: &Db,
    run_id: &RunId,
    part: LogPart,
    limit: usize,
) -> Result<Option<Page<Event>>, WorldError> {
    let page = async |after: Position, limit: usize| {
        let place = EventPlace { run_id: run_id.clone(), position: after };
        let after = (after > 0).then(|| place.key());
        let query = EventQuery {
            run_id: Some(run_id.clone()),
            correlation_id: None,
            page: PageRequest { after, ..PageRequest::first(limit) },
            resolve_data: true,
        };
        list(db, &query).await
    };
    Ok(match part {
        LogPart::Whole => Some(page(0, limit).await?).filter(|page| !page.has_more),
        LogPart::After(after) => Some(page(after, limit).await?),
        LogPart::Between { after, before } => {
            let wanted = usize::try_from(before - after - 1).unwrap_or(usize::MAX);
            let part = page(after, wanted.clamp(1, limit)).await?;
            // It is no page of a list: nobody continues behind it.
            Some(Page { cursor: None, has_more: wanted > limit, ..part })
        }
    })
}
