//! The life of a wait: created, completed once.

use super::{Entity, Log};
use crate::domain::change::Change;
use crate::domain::event::{EventBody, EventRequest, Report};
use crate::domain::id::CorrelationId;
use crate::domain::refusal::Refusal;
use crate::domain::run::Run;
use crate::domain::wait::Wait;

/// The events that complete pending waits of a run: all of them, or the named ones.
pub fn completions_of_waits(
    run: &Run,
    pending: Vec<Wait>,
    only: Option<&[CorrelationId]>,
) -> Vec<EventRequest> {
    let wanted = |wait: &Wait| only.is_none_or(|only| only.contains(&wait.correlation_id));
    let completion = |wait: Wait| EventRequest {
        run_id: Some(run.run_id.clone()),
        data: Some(serde_json::json!({ "resumeAt": wait.resume_at_ms }).to_string()),
        body: EventBody::WaitCompleted { wait: wait.correlation_id },
        spec_version: run.spec_version,
        payload: None,
        fence: None,
        code_mismatch: None,
        report: Report::default(),
        resume: None,
    };
    pending.into_iter().filter(wanted).map(completion).collect()
}

pub(super) fn create(
    log: &mut Log,
    correlation_id: CorrelationId,
    resume_at_ms: i64,
) -> Result<(), Refusal> {
    log.refuse_if_ended()?;
    if log.wait.is_some() {
        return Err(Refusal::WaitExists(correlation_id));
    }
    log.append();
    let wait = Wait {
        run_id: log.run.run_id.clone(),
        correlation_id,
        resume_at_ms,
        completed_at_ms: None,
        created_at_ms: log.now_ms(),
        updated_at_ms: log.now_ms(),
        spec_version: log.spec_version,
    };
    let id = wait.correlation_id.clone();
    log.change(Change::InsertWait(wait));
    log.answer(|run_id| Entity::Wait(run_id, id));
    Ok(())
}

/// Completes a wait. An elapsed wait does not wake its run, because the replay that saw it elapse
/// writes this event. A wait that is cut short is completed from outside, so it wakes the run.
///
/// `now_ms` is the clock's time, not the event's, because `resume_at_ms` is a time of the clock.
pub(super) fn complete(
    log: &mut Log,
    correlation_id: CorrelationId,
    now_ms: i64,
) -> Result<(), Refusal> {
    // The waits of an ended run are deleted. The runtime skips a conflict, but would retry a not-found.
    log.refuse_if_ended()?;
    let mut wait = log.wait.take().ok_or(Refusal::WaitNotFound(correlation_id))?;
    if wait.completed_at_ms.is_some() {
        return Err(Refusal::WaitCompleted(wait.correlation_id));
    }
    log.append();
    wait.completed_at_ms = Some(log.now_ms());
    wait.updated_at_ms = log.now_ms();
    let id = wait.correlation_id.clone();
    let cut_short = now_ms < wait.resume_at_ms;
    log.change(Change::UpdateWait(wait));
    if cut_short {
        log.wake();
    }
    log.answer(|run_id| Entity::Wait(run_id, id));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::test_kit::*;
    use crate::domain::event::EventBody;
    use crate::domain::refusal::Refusal;
    use crate::domain::transition::Entity;

    const RESUME_AT_MS: i64 = NOW_MS + 60_000;

    /// Rows with a pending wait "w".
    fn with_wait() -> Rows {
        let mut rows = Rows::with_running_run();
        rows.does(wait_created("w", RESUME_AT_MS));
        rows
    }

    #[test]
    fn a_created_wait_waits_under_the_name_of_its_run_and_correlation_id() {
        let mut rows = Rows::with_running_run();
        let decision = rows.does(wait_created("w", RESUME_AT_MS));
        assert_eq!(decision.entity, Entity::Wait(run_id(1), id("w")));
        let wait = rows.wait("w");
        assert_eq!((wait.resume_at_ms, wait.completed_at_ms), (RESUME_AT_MS, None));
        assert_eq!((wait.created_at_ms, wait.updated_at_ms), (NOW_MS, NOW_MS));
        assert_eq!(wait.wait_id(), format!("{}-w", run_id(1)));
        assert_eq!(rows.wake_ups, []);
    }

    #[test]
    fn a_second_creation_of_a_wait_conflicts_also_after_its_completion() {
        let mut rows = with_wait();
        let exists = Refusal::WaitExists(id("w"));
        assert_eq!(rows.refuses(wait_created("w", RESUME_AT_MS)), exists);
        rows.does(wait_completed("w"));
        assert_eq!(rows.refuses(wait_created("w", RESUME_AT_MS)), exists);
    }

    #[test]
    fn a_wait_is_completed_early_or_late_and_wakes_its_run_only_when_it_is_cut_short() {
        let cases = [(NOW_MS + 1, 1), (RESUME_AT_MS, 0), (RESUME_AT_MS + 1, 0)];
        for (now_ms, wake_ups) in cases {
            let mut rows = with_wait();
            rows.now_ms = now_ms;
            let decision = rows.does(wait_completed("w"));
            assert_eq!(decision.entity, Entity::Wait(run_id(1), id("w")));
            let wait = rows.wait("w");
            assert_eq!((wait.completed_at_ms, wait.updated_at_ms), (Some(now_ms), now_ms));
            assert_eq!(wait.resume_at_ms, RESUME_AT_MS);
            assert_eq!(rows.wake_ups.len(), wake_ups, "{now_ms}");
        }
    }

    #[test]
    fn a_second_completion_conflicts() {
        let mut rows = with_wait();
        rows.does(wait_completed("w"));
        assert_eq!(rows.refuses(wait_completed("w")), Refusal::WaitCompleted(id("w")));
    }

    #[test]
    fn an_unknown_wait_cannot_be_completed() {
        let missing = Refusal::WaitNotFound(id("w"));
        assert_eq!(Rows::with_running_run().refuses(wait_completed("w")), missing);
        let mut rows = with_wait();
        rows.does_in(2, EventBody::RunCreated(creation()));
        assert_eq!(rows.refuses_in(2, wait_completed("w")), missing);
    }

    #[test]
    fn an_ended_run_gets_no_new_wait_and_completes_none() {
        for ending in endings() {
            let mut rows = with_wait();
            rows.does(ending);
            let ended = Refusal::RunEnded { run_id: run_id(1), status: rows.run().status };
            assert_eq!(rows.refuses(wait_created("w2", RESUME_AT_MS)), ended);
            assert_eq!(rows.refuses(wait_completed("w")), ended);
        }
    }
}
