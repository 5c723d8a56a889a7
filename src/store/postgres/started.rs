//! `run_started` of a run that is running: every replay begins with it, and it changes nothing. A reader
//! answers it, long log and all, so that it does not hold the writer up.

use std::collections::HashSet;

use super::db::{Db, Sending, pipelined};
use super::loaded::key_of;
use super::{events, leases, runs};
use crate::domain::event::EventRequest;
use crate::domain::page::LIMIT_MAX;
use crate::domain::transition::{self, Entity, LogPart, Needs, Seen, Stamp};
use crate::error::WorldError;
use crate::store::EventReply;
use crate::store::transaction::unchanged;

/// Answers it from one view of the database, in one round trip; `None` leaves it to the writer.
pub(super) async fn answer(
    db: &Db,
    request: EventRequest,
    now_ms: i64,
) -> Result<Option<EventReply>, WorldError> {
    let Some(run_id) = request.run_id.clone() else { return Ok(None) };
    let needs = transition::needs(&request);
    if needs != (Needs { lease: needs.lease.clone(), ..Needs::default() }) {
        return Ok(None);
    }
    let sought: HashSet<_> = needs.lease.iter().map(key_of).collect();
    let (mut view, mut tail, mut states, mut page) = (None, None, Vec::new(), None);
    let mut sending: Vec<Sending<'_>> =
        vec![Box::pin(db.simple("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))];
    if !sought.is_empty() {
        sending.push(Box::pin(async {
            states = leases::states_now(db, &sought).await?;
            Ok(())
        }));
    }
    sending.push(Box::pin(async {
        view = runs::view(db, &run_id, true).await?;
        Ok(())
    }));
    sending.push(Box::pin(async {
        tail = events::tail(db, &run_id).await?;
        Ok(())
    }));
    if !request.report.skips_log {
        sending.push(Box::pin(async {
            page = events::log_part(db, &run_id, LogPart::After(0), LIMIT_MAX).await?;
            Ok(())
        }));
    }
    // Also after a failure: the connection goes on.
    pipelined(sending, db.simple("COMMIT")).await?;
    let Some(view) = view else { return Ok(None) };
    let lease_holds = states.iter().any(|(_, state)| state.is_valid);
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
