//! The life of a run: created, started, ended once.

use super::{Decision, Entity, Log, LogPart, Seen, Stamp};
use crate::domain::attributes::Attributes;
use crate::domain::change::Change;
use crate::domain::event::{EventBody, EventRequest, EventType, Report, RunCreation};
use crate::domain::id::RunId;
use crate::domain::payload::StructuredError;
use crate::domain::refusal::Refusal;
use crate::domain::retention::Keeping;
use crate::domain::run::{Run, RunStatus};

pub(super) fn create(
    seen: Seen,
    request: EventRequest,
    creation: RunCreation,
    stamp: &Stamp,
) -> Result<Decision, Refusal> {
    if let Some(reason) =
        request.run_id.as_ref().and_then(|run_id| run_id.unacceptable_because(stamp.now_ms))
    {
        return Err(Refusal::RunIdUnacceptable(reason));
    }
    if let Some(run) = seen.run {
        return Err(Refusal::RunExists(run.run_id));
    }
    let run_id = request.run_id.clone().unwrap_or_else(|| stamp.fresh_run_id.clone());
    let wakes = creation.wakes;
    let run = pending_run(run_id, creation, request.spec_version, stamp.now_ms)?;
    let mut log = Log::new(run, seen, request, stamp)?;
    log.change(Change::InsertRun(log.run.clone()));
    log.append();
    if wakes {
        log.wake();
    }
    log.answer(Entity::Run);
    Ok(log.into_decision())
}

fn pending_run(
    run_id: RunId,
    creation: RunCreation,
    spec_version: u32,
    now_ms: i64,
) -> Result<Run, Refusal> {
    Ok(Run {
        run_id,
        status: RunStatus::Pending,
        release_id: creation.release_id.unwrap_or_else(|| creation.deployment_id.clone()),
        deployment_id: creation.deployment_id,
        workflow_name: creation.workflow_name,
        spec_version,
        execution_context: creation.execution_context,
        encryption_key_id: creation.encryption_key_id,
        attributes: creation.attributes.merged_into(&Attributes::new())?,
        encryption_public_key: creation.encryption_public_key,
        // The creating event is the first of the log.
        input_position: Some(1),
        output_position: None,
        error: None,
        error_position: None,
        error_code: None,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
        started_at_ms: None,
        completed_at_ms: None,
        expired_at_ms: None,
    })
}

/// Starts a run. Every replay begins with this event, but only the first one is logged. Creates the run
/// if its `run_created` never arrived (resilient start).
pub(super) fn start(
    seen: Seen,
    request: EventRequest,
    creation: Option<RunCreation>,
    stamp: &Stamp,
) -> Result<Decision, Refusal> {
    let run_id = request.run_id.clone().ok_or(Refusal::RunIdMissing)?;
    let existing = seen.run.clone();
    let is_new = existing.is_none();
    let run = match (existing, creation) {
        (Some(run), _) => run,
        (None, Some(creation)) if request.payload.is_some() => {
            pending_run(run_id, creation, request.spec_version, stamp.now_ms)?
        }
        (None, _) => return Err(Refusal::RunNotFound(run_id)),
    };
    let mut log = Log::new(run, seen, request, stamp)?;
    if log.run.is_legacy() {
        let event_type = EventType::RunStarted.as_str();
        return Err(Refusal::RunTooOld { run_id: log.run.run_id, event_type });
    }
    log.decision.log = Some(match log.run.spec().reads_log_in_pages() {
        true => LogPart::After(0),
        false => LogPart::Whole,
    });
    log.answer(Entity::Run);
    match log.run.status {
        RunStatus::Running => return Ok(log.into_decision()),
        RunStatus::Pending => {}
        status => return Err(Refusal::RunExpired { run_id: log.run.run_id, status }),
    }
    // Creation data belongs to `run_created`, so `run_started` does not keep it.
    let (data, payload) = (log.data.take(), log.payload.take());
    if is_new {
        log.change(Change::InsertRun(log.run.clone()));
        log.append_as(EventType::RunCreated, data, payload);
    }
    log.run.status = RunStatus::Running;
    log.run.started_at_ms = log.run.started_at_ms.or(Some(log.now_ms()));
    log.run.updated_at_ms = log.now_ms();
    log.append();
    log.change(Change::UpdateRun(log.run.clone()));
    Ok(log.into_decision())
}

/// `now_ms` is the clock's time, not the event's, because readers compare the time of expiry with their
/// clocks. The next two likewise.
pub(super) fn complete(log: &mut Log, now_ms: i64) -> Result<(), Refusal> {
    log.refuse_if_ended()?;
    expire(log, now_ms);
    log.run.output_position = Some(log.append());
    end(log, RunStatus::Completed);
    Ok(())
}

pub(super) fn fail(log: &mut Log, error: StructuredError, now_ms: i64) -> Result<(), Refusal> {
    log.refuse_if_ended()?;
    expire(log, now_ms);
    let code = error.code.clone();
    let kept = log.append_error(error);
    log.run.error_code = code.filter(|_| kept.position.is_some());
    (log.run.error, log.run.error_position) = (kept.structured, kept.position);
    end(log, RunStatus::Failed);
    Ok(())
}

/// Cancels a run. A second cancellation is logged, as the contract asks, and changes nothing.
pub(super) fn cancel(log: &mut Log, now_ms: i64) -> Result<(), Refusal> {
    if log.run.status == RunStatus::Cancelled {
        log.append();
        log.answer(Entity::Run);
        return Ok(());
    }
    log.refuse_if_ended()?;
    expire(log, now_ms);
    log.append();
    end(log, RunStatus::Cancelled);
    Ok(())
}

/// The event by which a person cancels a run.
pub fn cancellation_of(run: &Run) -> EventRequest {
    EventRequest {
        run_id: Some(run.run_id.clone()),
        body: EventBody::RunCancelled,
        spec_version: run.spec_version,
        data: None,
        payload: None,
        fence: None,
        code_mismatch: None,
        report: Report::default(),
        resume: None,
    }
}

pub(super) fn cancel_legacy(log: &mut Log) -> Result<(), Refusal> {
    if log.run.status != RunStatus::Cancelled {
        log.refuse_if_ended()?;
        end(log, RunStatus::Cancelled);
    }
    log.answer(Entity::Run);
    Ok(())
}

/// Lets the values of the run expire if it wants so. This comes before the event of its end, whose own
/// value is then not even written.
fn expire(log: &mut Log, now_ms: i64) {
    log.run.expired_at_ms = (Keeping::of(&log.run) == Keeping::Dropped).then_some(now_ms);
}

fn end(log: &mut Log, status: RunStatus) {
    let now_ms = log.now_ms();
    log.run.status = status;
    log.run.updated_at_ms = now_ms;
    log.run.completed_at_ms = Some(now_ms);
    log.change(Change::UpdateRun(log.run.clone()));
    log.change(Change::FreeRun(log.run.run_id.clone()));
    if log.run.expired_at_ms.is_some() {
        log.change(Change::DropValues(log.run.run_id.clone()));
    }
    log.answer(Entity::Run);
}

#[cfg(test)]
mod tests {
    use super::super::test_kit::*;
    use crate::domain::change::Change;
    use crate::domain::event::{EventBody, EventRequest, RunCreation};
    use crate::domain::id::{RUN_ID_AGE_MS_MAX, RUN_ID_AHEAD_MS_MAX, RunId};
    use crate::domain::payload::StructuredError;
    use crate::domain::refusal::Refusal;
    use crate::domain::retention::Keeping;
    use crate::domain::run::RunStatus;
    use crate::domain::spec::{SPEC_VERSION_DEFAULT, SPEC_VERSION_MAX};
    use crate::domain::transition::{Entity, LogPart};

    fn run_created() -> EventBody {
        EventBody::RunCreated(creation())
    }

    /// One run in each ended status, with the event that ended it.
    fn ended_runs() -> [(Rows, RunStatus); 3] {
        let statuses = [RunStatus::Completed, RunStatus::Failed, RunStatus::Cancelled];
        let mut pairs = endings().into_iter().zip(statuses);
        std::array::from_fn(|_| {
            let (ending, status) = pairs.next().expect("three endings");
            let mut rows = Rows::with_running_run();
            rows.does(ending);
            assert_eq!(rows.run().status, status);
            (rows, status)
        })
    }

    #[test]
    fn a_created_run_is_pending_and_keeps_its_input_and_its_id() {
        let mut rows = Rows::default();
        let decision = rows.does(run_created());
        assert_eq!(decision.entity, Entity::Run(run_id(1)));
        assert_eq!(decision.log, None);
        let run = rows.run();
        assert_eq!((run.status, run.input_position), (RunStatus::Pending, Some(1)));
        assert_eq!((run.created_at_ms, run.updated_at_ms), (NOW_MS, NOW_MS));
        assert_eq!((run.started_at_ms, run.completed_at_ms), (None, None));
        assert_eq!(
            (run.deployment_id.as_str(), run.workflow_name.as_str()),
            ("dpl", "workflow//a")
        );
        assert_eq!(run.spec_version, SPEC_VERSION_DEFAULT);
        assert_eq!(rows.logs[&run_id(1)][0].payload, payload("run_created"));
        assert_eq!(rows.wake_ups, []);
    }

    #[test]
    fn a_creation_that_wakes_writes_the_first_wake_up_along() {
        let mut rows = Rows::default();
        rows.does(EventBody::RunCreated(RunCreation { wakes: true, ..creation() }));
        assert_eq!(rows.log(), ["run_created"]);
        assert_eq!(rows.wake_ups, [run_id(1)]);
        let waking = EventBody::RunCreated(RunCreation { wakes: true, ..creation() });
        assert_eq!(rows.refuses(waking), Refusal::RunExists(run_id(1)));
        assert_eq!(rows.wake_ups, [run_id(1)]);
    }

    #[test]
    fn a_run_created_without_an_id_gets_the_fresh_one() {
        let mut rows = Rows::default();
        let request = EventRequest { run_id: None, ..request(1, run_created()) };
        let decision = rows.append(request).expect("the rules allow it");
        assert_eq!(decision.entity, Entity::Run(fresh_run_id()));
        assert!(rows.runs.contains_key(&fresh_run_id()));
    }

    #[test]
    fn a_second_creation_conflicts_whatever_became_of_the_run() {
        let mut rows = Rows::default();
        rows.does(run_created());
        assert_eq!(rows.refuses(run_created()), Refusal::RunExists(run_id(1)));
        rows.does(EventBody::RunStarted(None));
        assert_eq!(rows.refuses(run_created()), Refusal::RunExists(run_id(1)));
        rows.does(EventBody::RunCancelled);
        assert_eq!(rows.refuses(run_created()), Refusal::RunExists(run_id(1)));
    }

    #[test]
    fn a_client_made_id_is_a_ulid_of_the_last_day() {
        let create = |run_id: RunId| {
            Rows::default()
                .append(EventRequest { run_id: Some(run_id), ..request(1, run_created()) })
        };
        let made_at = |at_ms| create(run_id_made_at(at_ms, 1));
        assert!(made_at(NOW_MS - RUN_ID_AGE_MS_MAX).is_ok());
        assert!(made_at(NOW_MS + RUN_ID_AHEAD_MS_MAX).is_ok());
        let refused = [
            made_at(NOW_MS - RUN_ID_AGE_MS_MAX - 1),
            made_at(NOW_MS + RUN_ID_AHEAD_MS_MAX + 1),
            create(RunId::new("wrun_1")),
            create(RunId::new("01ARZ3NDEKTSV4RRFFQ69G5FAV")),
            create(RunId::new("")),
        ];
        for outcome in refused {
            assert!(matches!(outcome, Err(Refusal::RunIdUnacceptable(_))), "{outcome:?}");
        }
    }

    #[test]
    fn a_run_of_an_unknown_contract_is_not_created() {
        for body in [run_created(), EventBody::RunStarted(Some(creation()))] {
            for unknown in [4, 5, SPEC_VERSION_MAX + 1] {
                let request = EventRequest { spec_version: unknown, ..request(1, body.clone()) };
                let refused = Err(Refusal::RunUnsupported(unknown));
                assert_eq!(Rows::default().append(request), refused);
            }
        }
    }

    #[test]
    fn the_first_start_makes_the_run_running_and_is_logged_without_its_data() {
        let mut rows = Rows::default();
        rows.does(run_created());
        rows.now_ms += 10;
        let request = EventRequest {
            data: Some(r#"{"workflowName":"workflow//a"}"#.into()),
            ..request(1, EventBody::RunStarted(Some(creation())))
        };
        let decision = rows.append(request).expect("the rules allow it");
        assert_eq!(decision.log, Some(LogPart::Whole));
        assert_eq!(decision.entity, Entity::Run(run_id(1)));
        let run = rows.run();
        assert_eq!((run.status, run.started_at_ms), (RunStatus::Running, Some(NOW_MS + 10)));
        assert_eq!(run.updated_at_ms, NOW_MS + 10);
        assert_eq!(rows.log(), ["run_created", "run_started"]);
        let started = &rows.logs[&run_id(1)][1];
        assert_eq!((&started.data, &started.payload), (&None, &None));
    }

    #[test]
    fn a_start_of_a_running_run_changes_and_logs_nothing_and_answers_with_the_run() {
        for creation in [None, Some(creation())] {
            let mut rows = Rows::with_running_run();
            rows.now_ms += 10;
            let before = rows.clone();
            let decision = rows.does(EventBody::RunStarted(creation));
            assert_eq!(decision.changes, []);
            assert_eq!(decision.event, None);
            assert_eq!(decision.entity, Entity::Run(run_id(1)));
            assert_eq!(decision.log, Some(LogPart::Whole));
            assert_eq!(rows, before);
        }
    }

    #[test]
    fn a_start_of_an_ended_run_is_expired() {
        for (mut rows, status) in ended_runs() {
            for creation in [None, Some(creation())] {
                let refusal = rows.refuses(EventBody::RunStarted(creation));
                assert_eq!(refusal, Refusal::RunExpired { run_id: run_id(1), status });
            }
        }
    }

    #[test]
    fn a_start_of_no_run_needs_everything_that_creates_one() {
        let mut rows = Rows::default();
        let missing = Refusal::RunNotFound(run_id(1));
        assert_eq!(rows.refuses(EventBody::RunStarted(None)), missing);
        let without_input =
            EventRequest { payload: None, ..request(1, EventBody::RunStarted(Some(creation()))) };
        assert_eq!(rows.append(without_input), Err(missing));
    }

    #[test]
    fn a_resilient_start_logs_the_creation_first_and_its_data_there_only() {
        let mut rows = Rows::default();
        let data = Some(r#"{"workflowName":"workflow//a"}"#.to_owned());
        let request = EventRequest {
            data: data.clone(),
            payload: payload("arguments"),
            ..request(1, EventBody::RunStarted(Some(creation())))
        };
        let decision = rows.append(request).expect("the rules allow it");
        assert_eq!(decision.log, Some(LogPart::Whole));
        assert_eq!(decision.event.as_ref().map(|event| event.position), Some(2));
        assert_eq!(rows.log(), ["run_created", "run_started"]);
        let log = &rows.logs[&run_id(1)];
        assert_eq!((&log[0].data, &log[0].payload), (&data, &payload("arguments")));
        assert_eq!((&log[1].data, &log[1].payload), (&None, &None));
        let run = rows.run();
        assert_eq!((run.status, run.input_position), (RunStatus::Running, Some(1)));
        assert_eq!(run.started_at_ms, Some(NOW_MS));
        // The late `run_created` is refused, because the run exists.
        assert_eq!(rows.refuses(run_created()), Refusal::RunExists(run_id(1)));
    }

    #[test]
    fn a_completed_run_keeps_where_its_return_value_stands() {
        let mut rows = Rows::with_running_run();
        rows.now_ms += 10;
        let decision = rows.does(EventBody::RunCompleted);
        assert_eq!(decision.entity, Entity::Run(run_id(1)));
        let run = rows.run();
        assert_eq!((run.status, run.output_position), (RunStatus::Completed, Some(3)));
        assert_eq!((run.completed_at_ms, run.updated_at_ms), (Some(NOW_MS + 10), NOW_MS + 10));
        assert_eq!(run.error, None);
        assert_eq!(rows.logs[&run_id(1)][2].payload, payload("run_completed"));
    }

    #[test]
    fn a_failed_run_keeps_its_error() {
        let mut rows = Rows::with_running_run();
        rows.does(EventBody::RunFailed(error("why")));
        let run = rows.run();
        assert_eq!((run.status, run.output_position), (RunStatus::Failed, None));
        assert_eq!(run.error, Some(error("why")));
        assert_eq!(run.completed_at_ms, Some(NOW_MS));
    }

    #[test]
    fn an_error_that_is_bytes_stays_with_its_event_and_the_run_keeps_its_code() {
        let mut rows = Rows::with_running_run_of(7);
        let failure = StructuredError { code: Some("USER_ERROR".into()), ..error("unread") };
        rows.does(EventBody::RunFailed(failure));
        let run = rows.run();
        assert_eq!((run.error.as_ref(), run.error_position), (None, Some(3)));
        assert_eq!((run.error_code.as_deref(), run.output_position), (Some("USER_ERROR"), None));
        assert_eq!(rows.logs[&run_id(1)][2].payload, payload("run_failed"));
    }

    #[test]
    fn a_cancelled_run_has_neither_result_nor_error() {
        let mut rows = Rows::with_running_run();
        rows.does(EventBody::RunCancelled);
        let run = rows.run();
        assert_eq!((run.status, run.completed_at_ms), (RunStatus::Cancelled, Some(NOW_MS)));
        assert_eq!((run.output_position, &run.error), (None, &None));
    }

    #[test]
    fn a_run_may_end_before_it_was_started() {
        for ending in endings() {
            let mut rows = Rows::default();
            rows.does(run_created());
            rows.does(ending);
            assert!(rows.run().status.is_terminal());
            assert_eq!(rows.run().started_at_ms, None);
        }
    }

    #[test]
    fn an_ending_frees_the_hooks_and_waits_of_its_run_only_and_wakes_nobody() {
        for ending in endings() {
            let mut rows = Rows::with_running_run();
            rows.does_in(2, run_created());
            rows.does(hook_created("h", "token"));
            rows.does(wait_created("w", NOW_MS));
            rows.does_in(2, hook_created("h", "other token"));
            rows.does_in(2, wait_created("w", NOW_MS));
            let decision = rows.does(ending);
            assert!(decision.changes.contains(&Change::FreeRun(run_id(1))));
            let holders: Vec<_> = rows.hooks.values().map(|hook| hook.run_id.clone()).collect();
            assert_eq!(holders, [run_id(2)]);
            assert_eq!(rows.waits.len(), 1);
            assert_eq!(rows.wake_ups, []);
            // The token is free at once.
            let decision = rows.does_in(2, hook_created("h2", "token"));
            assert_eq!(decision.entity, Entity::Hook(run_id(2), id("h2")));
        }
    }

    /// Rows with a running run of a spec version that has this retention.
    fn with_retention(spec_version: u32, retention: &str) -> Rows {
        let mut rows = Rows { spec_version, ..Rows::default() };
        let attributes = changes(&[("$retention", Some(retention))], true);
        rows.does(EventBody::RunCreated(RunCreation { attributes, ..creation() }));
        rows.does(EventBody::RunStarted(None));
        rows
    }

    #[test]
    fn a_run_with_retention_zero_loses_its_values_at_its_end_and_keeps_its_log() {
        for ending in endings() {
            let mut rows = with_retention(8, "0");
            rows.does(step_created("s"));
            rows.does(step_started("s"));
            rows.does(hook_created("h", "token"));
            let resume = EventRequest {
                resume: Some(mark("r", Some("digest"))),
                ..request(1, hook_received("h", None))
            };
            rows.append(resume).expect("the hook lives");
            rows.now_ms += 10;
            let decision = rows.does(ending);
            assert!(decision.changes.contains(&Change::DropValues(run_id(1))));
            // Its own value is not even written.
            let appended = decision.changes.iter().find_map(|change| match change {
                Change::AppendEvent(event, keeping) => Some((event, keeping)),
                _ => None,
            });
            let (event, keeping) = appended.expect("the end is logged");
            assert_eq!((&event.payload, keeping), (&None, &Keeping::Dropped));
            assert_eq!(rows.run().expired_at_ms, Some(NOW_MS + 10));
            assert_eq!(rows.log().len(), 7);
            assert!(rows.logs[&run_id(1)].iter().all(|event| event.payload.is_none()));
            let marks: Vec<_> =
                rows.logs[&run_id(1)].iter().filter_map(|event| event.resume.clone()).collect();
            assert_eq!(marks, [mark("r", None)]);
            // What reports late brings nothing back.
            rows.does(step_completed("s"));
            assert_eq!(rows.logs[&run_id(1)][7].payload, None);
        }
    }

    #[test]
    fn only_retention_zero_of_an_sdk_with_attributes_drops_values() {
        for (spec_version, retention) in [(8, "default"), (8, "1"), (3, "0")] {
            let mut rows = with_retention(spec_version, retention);
            let decision = rows.does(EventBody::RunCompleted);
            assert!(!decision.changes.contains(&Change::DropValues(run_id(1))));
            assert_eq!(rows.run().expired_at_ms, None);
            assert_eq!(rows.logs[&run_id(1)][2].payload, payload("run_completed"));
        }
    }

    #[test]
    fn the_retention_at_the_end_counts() {
        let changed = |from: &str, to: Option<&str>| {
            let mut rows = with_retention(8, from);
            let changes = changes(&[("$retention", to)], true);
            rows.does(EventBody::AttrSet { id: None, changes });
            rows.does(EventBody::RunCompleted);
            rows.run().expired_at_ms
        };
        assert_eq!(changed("default", Some("0")), Some(NOW_MS));
        assert_eq!(changed("0", None), None);
    }

    #[test]
    fn values_expire_by_the_clock_and_not_by_the_time_of_the_log() {
        let mut rows = with_retention(8, "0");
        rows.now_ms += 60_000;
        rows.does(step_created("s"));
        // The clock is set back. The log's times stay ahead of it.
        rows.now_ms = NOW_MS;
        rows.does(EventBody::RunCompleted);
        let run = rows.run();
        assert_eq!((run.expired_at_ms, run.completed_at_ms), (Some(NOW_MS), Some(NOW_MS + 60_000)));
    }

    #[test]
    fn an_ended_run_cannot_end_again() {
        for (rows, status) in ended_runs() {
            for ending in endings() {
                if status == RunStatus::Cancelled && ending == EventBody::RunCancelled {
                    continue;
                }
                let mut rows = rows.clone();
                let refusal = rows.refuses(ending);
                assert_eq!(refusal, Refusal::RunEnded { run_id: run_id(1), status });
            }
        }
    }

    #[test]
    fn a_second_cancellation_is_logged_and_changes_nothing() {
        let mut rows = Rows::with_running_run();
        rows.does(EventBody::RunCancelled);
        rows.now_ms += 10;
        let before = rows.run().clone();
        let decision = rows.does(EventBody::RunCancelled);
        assert_eq!(decision.entity, Entity::Run(run_id(1)));
        assert_eq!(decision.changes.len(), 1);
        assert_eq!(*rows.run(), before);
        assert_eq!(rows.log(), ["run_created", "run_started", "run_cancelled", "run_cancelled"]);
    }
}
