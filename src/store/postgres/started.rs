//! `run_started` of a run that is running: every replay begins with it, and it changes nothing. A reader
//! answers it, long log and all, so that it does not hold the writer up.

use super::db::{Columns, Db, Sending, pipelined, values};
use super::events;
use super::leases::is_valid;
use super::runs::{select_views, view_from};
use crate::domain::event::{Event, EventRequest};
use crate::domain::fence::Fence;
use crate::domain::id::RunId;
use crate::domain::page::{LIMIT_MAX, Page};
use crate::domain::transition::{self, Entity, LogPart, Needs, Seen, Stamp, Tail};
use crate::error::WorldError;
use crate::store::transaction::unchanged;
use crate::store::{EventReply, RunView};

/// Answers it in one round trip; `None` leaves it to the writer.
pub(super) async fn answer(
    db: &Db,
    request: EventRequest,
    now_ms: i64,
) -> Result<Option<EventReply>, WorldError> {
    let Some(run_id) = request.run_id.clone() else { return Ok(None) };
    let needs = transition::needs(&request);
    if needs != (Needs { lease: needs.lease.clone(), log: needs.log, ..Needs::default() }) {
        return Ok(None);
    }
    let (mut found, mut page) = (None, None);
    let mut sending: Vec<Sending<'_>> = vec![Box::pin(async {
        found = running(db, &run_id, needs.lease.as_ref()).await?;
        Ok(())
    })];
    if !request.report.skips_log {
        sending.push(Box::pin(async {
            page = events::log_part(db, &run_id, LogPart::After(0), LIMIT_MAX).await?;
            Ok(())
        }));
    }
    pipelined(sending, async { Ok(()) }).await?;
    let Some((view, tail, lease_holds)) = found else { return Ok(None) };
    // What was appended between the two statements may have changed the run.
    let ends_otherwise = |page: &Page<Event>| {
        !page.has_more
            && page.items.last().map(|event| event.position) != tail.map(|tail| tail.position)
    };
    if page.as_ref().is_some_and(ends_otherwise) {
        return Ok(None);
    }
    let seen = Seen { run: Some(view.run.clone()), tail, lease_holds, ..Seen::default() };
    let stamp = Stamp { now_ms, fresh_run_id: run_id.clone(), environment: None };
    Ok(match unchanged(seen, request, &stamp) {
        Some((Entity::Run(_), part)) => {
            let events = match part {
                None => None,
                Some(LogPart::Whole) => page.filter(|page| !page.has_more),
                Some(LogPart::After(0)) => page,
                Some(_) => return Ok(None),
            };
            Some(EventReply { run: Some(view), events, ..EventReply::default() })
        }
        _ => None,
    })
}

/// The run, the end of its log, and whether the lease holds, as they are at one moment.
async fn running(
    db: &Db,
    run_id: &RunId,
    lease: Option<&Fence>,
) -> Result<Option<(RunView, Option<Tail>, bool)>, WorldError> {
    const RUNNING: &str = concat!(
        select_views!(
            concat!(
                ", t.position, t.created_at_ms, m.message_id IS NOT NULL AND ",
                is_valid!("$4")
            ),
            " LEFT JOIN LATERAL (SELECT l.position, l.created_at_ms FROM hookline.events AS l \
               WHERE l.run_id = r.run_id ORDER BY l.position DESC LIMIT 1) AS t ON true \
             LEFT JOIN hookline.messages AS m ON m.message_id = $3"
        ),
        " WHERE r.run_id = $2"
    );
    let message_id = lease.map(|lease| lease.message_id);
    let token = lease.map(|lease| lease.lease_token.expose());
    let row = db.first(RUNNING, &values![true, run_id, message_id, token]).await?;
    row.map(|row| {
        let mut columns = Columns::of(&row);
        let view = view_from(&mut columns)?;
        let (position, created_at_ms) = (columns.take()?, columns.take()?);
        let tail = Option::zip(position, created_at_ms)
            .map(|(position, created_at_ms)| Tail { position, created_at_ms });
        Ok((view, tail, columns.take()?))
    })
    .transpose()
}
