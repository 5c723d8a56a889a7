//! The life of a step: created, started once per attempt, ended once.

use super::{Entity, Log};
use crate::domain::change::Change;
use crate::domain::event::EventType;
use crate::domain::id::{CorrelationId, MessageId, Position};
use crate::domain::payload::StructuredError;
use crate::domain::refusal::Refusal;
use crate::domain::step::{Step, StepStatus};

pub(super) fn create(
    log: &mut Log,
    step_id: CorrelationId,
    step_name: String,
) -> Result<(), Refusal> {
    refuse_unless_new(log, &step_id)?;
    let created_position = log.append();
    let step = pending_step(log, step_id, step_name, created_position);
    insert(log, step);
    Ok(())
}

/// Creates a step and starts it: two events, together. Whoever creates the step executes it. So every
/// other caller conflicts, however far the step is, and executes nothing.
pub(super) fn create_and_start(
    log: &mut Log,
    step_id: CorrelationId,
    owner: Option<MessageId>,
    step_name: String,
) -> Result<(), Refusal> {
    refuse_unless_new(log, &step_id)?;
    // The input belongs to `step_created`, everything else to `step_started`.
    let created = serde_json::json!({ "stepName": step_name }).to_string();
    let input = log.payload.take();
    let created_position = log.append_as(EventType::StepCreated, Some(created), input);
    log.append();
    let created = pending_step(log, step_id, step_name, created_position);
    insert(log, begun(created, owner, log.now_ms()));
    log.decision.step_created = true;
    Ok(())
}

fn refuse_unless_new(log: &Log, step_id: &CorrelationId) -> Result<(), Refusal> {
    log.refuse_if_ended()?;
    match &log.step {
        Some(_) => Err(Refusal::StepExists(step_id.clone())),
        None => Ok(()),
    }
}

fn pending_step(
    log: &Log,
    step_id: CorrelationId,
    step_name: String,
    created_position: Position,
) -> Step {
    Step {
        run_id: log.run.run_id.clone(),
        step_id,
        step_name,
        status: StepStatus::Pending,
        created_position,
        output_position: None,
        error: None,
        error_position: None,
        owner: None,
        attempt: 0,
        created_at_ms: log.now_ms(),
        updated_at_ms: log.now_ms(),
        started_at_ms: None,
        completed_at_ms: None,
        retry_after_ms: None,
        spec_version: log.spec_version,
    }
}

fn insert(log: &mut Log, step: Step) {
    let id = step.step_id.clone();
    log.change(Change::InsertStep(step));
    log.answer(|run_id| Entity::Step(run_id, id));
}

/// The step with one more attempt.
fn begun(step: Step, owner: Option<MessageId>, now_ms: i64) -> Step {
    Step {
        status: StepStatus::Running,
        attempt: step.attempt + 1,
        owner,
        started_at_ms: step.started_at_ms.or(Some(now_ms)),
        retry_after_ms: None,
        ..step
    }
}

/// `now_ms` is the clock's time, not the event's, because `retry_after_ms` is a time of the clock.
pub(super) fn start(
    log: &mut Log,
    step_id: CorrelationId,
    owner: Option<MessageId>,
    now_ms: i64,
) -> Result<(), Refusal> {
    let step = open_step(log, step_id)?;
    refuse_if_run_expired(log)?;
    if let Some(retry_after_ms) = step.retry_after_ms.filter(|at_ms| *at_ms > now_ms) {
        // Whole seconds, rounded up, because the runtime passes them to the queue unchanged.
        let retry_after_s = (retry_after_ms - now_ms + 999) / 1000;
        return Err(Refusal::TooEarly { step: step.step_id, retry_after_s });
    }
    log.append();
    let step = begun(step, owner, log.now_ms());
    update(log, step);
    Ok(())
}

pub(super) fn complete(log: &mut Log, step_id: CorrelationId) -> Result<(), Refusal> {
    let mut step = open_step(log, step_id)?;
    let position = log.append();
    step.status = StepStatus::Completed;
    step.output_position = Some(position);
    end(log, step);
    Ok(())
}

pub(super) fn fail(
    log: &mut Log,
    step_id: CorrelationId,
    error: StructuredError,
) -> Result<(), Refusal> {
    let mut step = open_step(log, step_id)?;
    // An attempt that was running when its run ended may still report its result.
    if step.status != StepStatus::Running {
        refuse_if_run_expired(log)?;
    }
    keep_error(log, &mut step, error);
    step.status = StepStatus::Failed;
    end(log, step);
    Ok(())
}

pub(super) fn retry(
    log: &mut Log,
    step_id: CorrelationId,
    error: StructuredError,
    retry_after_ms: Option<i64>,
) -> Result<(), Refusal> {
    let mut step = open_step(log, step_id)?;
    keep_error(log, &mut step, error);
    step.status = StepStatus::Pending;
    step.owner = None;
    step.retry_after_ms = retry_after_ms;
    update(log, step);
    Ok(())
}

fn keep_error(log: &mut Log, step: &mut Step, error: StructuredError) {
    let kept = log.append_error(error);
    (step.error, step.error_position) = (kept.structured, kept.position);
}

fn end(log: &mut Log, mut step: Step) {
    step.completed_at_ms = Some(log.now_ms());
    update(log, step);
    if log.run.spec().step_end_wakes() {
        log.wake();
    }
}

fn open_step(log: &mut Log, step_id: CorrelationId) -> Result<Step, Refusal> {
    let step = log.step.take().ok_or(Refusal::StepNotFound(step_id))?;
    if step.status.is_terminal() {
        return Err(Refusal::StepEnded { step: step.step_id, status: step.status });
    }
    Ok(step)
}

fn refuse_if_run_expired(log: &Log) -> Result<(), Refusal> {
    if log.run.status.is_terminal() {
        return Err(Refusal::RunExpired { run_id: log.run.run_id.clone(), status: log.run.status });
    }
    Ok(())
}

fn update(log: &mut Log, mut step: Step) {
    step.updated_at_ms = log.now_ms();
    let id = step.step_id.clone();
    log.change(Change::UpdateStep(step));
    log.answer(|run_id| Entity::Step(run_id, id));
}

#[cfg(test)]
mod tests {
    use super::super::test_kit::*;
    use crate::domain::event::{EventBody, EventRequest};
    use crate::domain::id::MessageId;
    use crate::domain::refusal::Refusal;
    use crate::domain::run::RunStatus;
    use crate::domain::step::StepStatus;
    use crate::domain::transition::Entity;

    /// Rows with a step "s" that is running.
    fn with_running_step() -> Rows {
        let mut rows = Rows::with_running_run();
        rows.does(step_created("s"));
        rows.does(step_started("s"));
        rows
    }

    fn step_events() -> [EventBody; 4] {
        [step_started("s"), step_completed("s"), step_failed("s"), step_retrying("s", None)]
    }

    fn expired() -> Refusal {
        Refusal::RunExpired { run_id: run_id(1), status: RunStatus::Cancelled }
    }

    #[test]
    fn a_created_step_is_pending_without_an_attempt() {
        let mut rows = Rows::with_running_run();
        let decision = rows.does(step_created("s"));
        assert_eq!(decision.entity, Entity::Step(run_id(1), id("s")));
        let step = rows.step("s");
        assert_eq!((step.status, step.attempt), (StepStatus::Pending, 0));
        assert_eq!((step.created_position, step.output_position), (3, None));
        assert_eq!((step.started_at_ms, step.completed_at_ms), (None, None));
        assert_eq!(step.step_name, "step//s");
        assert_eq!(rows.wake_ups, []);
    }

    #[test]
    fn a_second_creation_of_a_step_conflicts_however_far_it_is() {
        let mut rows = Rows::with_running_run();
        let exists = Refusal::StepExists(id("s"));
        rows.does(step_created("s"));
        assert_eq!(rows.refuses(step_created("s")), exists);
        rows.does(step_started("s"));
        assert_eq!(rows.refuses(step_created("s")), exists);
        rows.does(step_completed("s"));
        assert_eq!(rows.refuses(step_created("s")), exists);
    }

    #[test]
    fn the_same_step_id_in_another_run_is_another_step() {
        let mut rows = with_running_step();
        rows.does_in(2, EventBody::RunCreated(creation()));
        assert_eq!(rows.refuses_in(2, step_started("s")), Refusal::StepNotFound(id("s")));
        rows.does_in(2, step_created("s"));
        assert_eq!(rows.steps[&(run_id(2), id("s"))].attempt, 0);
        assert_eq!(rows.step("s").attempt, 1);
    }

    #[test]
    fn a_step_that_was_not_created_has_no_events() {
        for body in step_events() {
            let refusal = Rows::with_running_run().refuses(body);
            assert_eq!(refusal, Refusal::StepNotFound(id("s")));
        }
    }

    #[test]
    fn a_start_counts_an_attempt_and_only_the_first_sets_the_time() {
        let mut rows = with_running_step();
        assert_eq!(rows.step("s").started_at_ms, Some(NOW_MS));
        rows.now_ms += 10;
        // The step is started again while it runs, because its first worker has died.
        let decision = rows.does(step_started("s"));
        assert_eq!(decision.entity, Entity::Step(run_id(1), id("s")));
        let step = rows.step("s");
        assert_eq!((step.status, step.attempt), (StepStatus::Running, 2));
        assert_eq!((step.started_at_ms, step.updated_at_ms), (Some(NOW_MS), NOW_MS + 10));
        assert_eq!(rows.wake_ups, []);
    }

    #[test]
    fn a_completed_step_keeps_where_its_result_stands_and_wakes_its_run() {
        let mut rows = with_running_step();
        rows.now_ms += 10;
        let decision = rows.does(step_completed("s"));
        assert_eq!(decision.entity, Entity::Step(run_id(1), id("s")));
        let step = rows.step("s");
        assert_eq!((step.status, step.output_position), (StepStatus::Completed, Some(5)));
        assert_eq!((step.completed_at_ms, step.updated_at_ms), (Some(NOW_MS + 10), NOW_MS + 10));
        assert_eq!(rows.logs[&run_id(1)][4].payload, payload("step_completed"));
        assert_eq!(rows.wake_ups, [run_id(1)]);
    }

    #[test]
    fn a_failed_step_keeps_its_error_and_wakes_its_run() {
        let mut rows = with_running_step();
        rows.does(step_failed("s"));
        let step = rows.step("s");
        assert_eq!((step.status, step.output_position), (StepStatus::Failed, None));
        assert_eq!(
            (step.error.clone(), step.completed_at_ms),
            (Some(error("fatal")), Some(NOW_MS))
        );
        assert_eq!(rows.wake_ups, [run_id(1)]);
    }

    #[test]
    fn a_step_may_end_without_having_been_started() {
        for (body, status) in
            [(step_completed("s"), StepStatus::Completed), (step_failed("s"), StepStatus::Failed)]
        {
            let mut rows = Rows::with_running_run();
            rows.does(step_created("s"));
            rows.does(body);
            assert_eq!((rows.step("s").status, rows.step("s").attempt), (status, 0));
        }
    }

    #[test]
    fn a_retried_step_is_pending_again_with_its_error_and_wakes_nobody() {
        let mut rows = with_running_step();
        rows.does(step_retrying("s", Some(NOW_MS + 5000)));
        let step = rows.step("s");
        assert_eq!((step.status, step.attempt), (StepStatus::Pending, 1));
        assert_eq!((step.error.clone(), step.completed_at_ms), (Some(error("again")), None));
        assert_eq!(step.retry_after_ms, Some(NOW_MS + 5000));
        assert_eq!(rows.wake_ups, []);
    }

    #[test]
    fn a_step_ends_once() {
        for (ending, status) in
            [(step_completed("s"), StepStatus::Completed), (step_failed("s"), StepStatus::Failed)]
        {
            let mut rows = with_running_step();
            rows.does(ending);
            for body in step_events() {
                let refusal = rows.refuses(body);
                assert_eq!(refusal, Refusal::StepEnded { step: id("s"), status });
            }
        }
    }

    #[test]
    fn a_start_before_the_retry_time_is_told_whole_seconds_rounded_up() {
        let mut rows = with_running_step();
        rows.does(step_retrying("s", Some(NOW_MS + 5000)));
        for (now_ms, retry_after_s) in
            [(0, 5), (1, 5), (3999, 2), (4000, 1), (4001, 1), (4999, 1), (-1, 6)]
        {
            rows.now_ms = NOW_MS + now_ms;
            let refusal = rows.refuses(step_started("s"));
            assert_eq!(refusal, Refusal::TooEarly { step: id("s"), retry_after_s }, "{now_ms}");
        }
    }

    #[test]
    fn a_start_at_the_retry_time_clears_it() {
        let mut rows = with_running_step();
        rows.does(step_retrying("s", Some(NOW_MS + 5000)));
        rows.now_ms = NOW_MS + 5000;
        rows.does(step_started("s"));
        let step = rows.step("s");
        assert_eq!(
            (step.status, step.attempt, step.retry_after_ms),
            (StepStatus::Running, 2, None)
        );
    }

    #[test]
    fn the_retry_time_is_compared_with_the_clock_and_not_with_the_time_of_the_log() {
        let mut rows = with_running_step();
        rows.now_ms = NOW_MS + 60_000;
        rows.does(step_created("another"));
        // The clock is set back. The log's times stay ahead of it.
        rows.now_ms = NOW_MS;
        rows.does(step_retrying("s", Some(NOW_MS + 1000)));
        let refusal = rows.refuses(step_started("s"));
        assert_eq!(refusal, Refusal::TooEarly { step: id("s"), retry_after_s: 1 });
    }

    #[test]
    fn an_ended_run_gets_no_new_step() {
        for ending in endings() {
            let mut rows = Rows::with_running_run();
            rows.does(ending);
            let status = rows.run().status;
            let refusal = rows.refuses(step_created("s"));
            assert_eq!(refusal, Refusal::RunEnded { run_id: run_id(1), status });
        }
    }

    #[test]
    fn no_step_starts_in_an_ended_run_not_even_a_running_one() {
        let mut rows = with_running_step();
        rows.does(step_created("pending"));
        rows.does(EventBody::RunCancelled);
        assert_eq!(rows.refuses(step_started("pending")), expired());
        assert_eq!(rows.refuses(step_started("s")), expired());
    }

    #[test]
    fn a_running_step_may_report_after_the_end_of_its_run_and_wakes_nobody() {
        for body in [step_completed("s"), step_failed("s"), step_retrying("s", None)] {
            let mut rows = with_running_step();
            rows.does(EventBody::RunCancelled);
            rows.does(body.clone());
            assert_eq!(rows.log().last(), Some(&body.event_type().as_str()));
            assert_eq!(rows.wake_ups, []);
        }
    }

    #[test]
    fn a_start_that_creates_its_step_logs_both_events_and_the_input_with_the_first() {
        for spec_version in [3, 6, 7, 8] {
            let mut rows = Rows::with_running_run_of(spec_version);
            let data =
                Some(r#"{"stepName":"step//s","ownerMessageId":"msg_x","new":1}"#.to_owned());
            let request = EventRequest {
                data: data.clone(),
                payload: payload("input"),
                ..request(1, step_created_and_started("s", 7))
            };
            let decision = rows.append(request).expect("the rules allow it");
            assert_eq!(decision.entity, Entity::Step(run_id(1), id("s")));
            assert!(decision.step_created);
            assert_eq!(rows.log()[2..], ["step_created", "step_started"]);
            let [created, started] = &rows.logs[&run_id(1)][2..] else { panic!("two events") };
            assert_eq!(created.correlation_id, Some(id("s")));
            assert_eq!(created.data.as_deref(), Some(r#"{"stepName":"step//s"}"#));
            assert_eq!(created.payload, payload("input"));
            assert_eq!(started.correlation_id, Some(id("s")));
            assert_eq!((&started.data, &started.payload), (&data, &None));
            assert_eq!(decision.event.as_ref(), Some(started));
            let step = rows.step("s");
            assert_eq!((step.status, step.attempt), (StepStatus::Running, 1));
            assert_eq!((step.created_position, step.started_at_ms), (3, Some(NOW_MS)));
            assert_eq!(step.owner, Some(MessageId::from_number(7)));
            assert_eq!(rows.wake_ups, []);
        }
    }

    #[test]
    fn a_start_that_creates_its_step_conflicts_however_far_the_step_is() {
        let exists = Refusal::StepExists(id("s"));
        let mut rows = Rows::with_running_run_of(8);
        rows.does(step_created("s"));
        assert_eq!(rows.refuses(step_created_and_started("s", 7)), exists);
        rows.does(step_started("s"));
        assert_eq!(rows.refuses(step_created_and_started("s", 7)), exists);
        rows.does(step_completed("s"));
        assert_eq!(rows.refuses(step_created_and_started("s", 7)), exists);
        rows.does(step_created_and_started("t", 7));
        assert_eq!(rows.refuses(step_created("t")), Refusal::StepExists(id("t")));
        rows.does(EventBody::RunCompleted);
        let ended = Refusal::RunEnded { run_id: run_id(1), status: RunStatus::Completed };
        assert_eq!(rows.refuses(step_created_and_started("u", 7)), ended);
        assert_eq!(rows.refuses(step_created_and_started("s", 7)), ended);
    }

    #[test]
    fn the_last_start_or_a_retry_says_who_owns_the_step() {
        let owned = |rows: &Rows| rows.step("s").owner.map(MessageId::number);
        let started_by = |owner| EventBody::StepStarted {
            step: id("s"),
            owner: Some(MessageId::from_number(owner)),
            creates: None,
        };
        let mut rows = Rows::with_running_run_of(8);
        rows.does(step_created_and_started("s", 7));
        assert_eq!(owned(&rows), Some(7));
        rows.does(started_by(8));
        assert_eq!((owned(&rows), rows.step("s").attempt), (Some(8), 2));
        rows.does(step_started("s"));
        assert_eq!((owned(&rows), rows.step("s").attempt), (None, 3));
        rows.does(started_by(9));
        rows.does(step_retrying("s", None));
        assert_eq!(owned(&rows), None);
    }

    #[test]
    fn the_end_of_a_step_wakes_nobody_where_its_own_delivery_continues_the_run() {
        for ending in [step_completed("s"), step_failed("s")] {
            let mut rows = Rows::with_running_run_of(6);
            rows.does(step_created_and_started("s", 7));
            rows.does(ending);
            assert_eq!(rows.wake_ups, []);
        }
    }

    #[test]
    fn errors_that_are_bytes_stay_with_their_events() {
        let mut rows = Rows::with_running_run_of(8);
        rows.does(step_created_and_started("s", 7));
        rows.does(step_retrying("s", None));
        assert_eq!((rows.step("s").error.as_ref(), rows.step("s").error_position), (None, Some(5)));
        rows.does(step_failed("s"));
        assert_eq!((rows.step("s").error.as_ref(), rows.step("s").error_position), (None, Some(6)));
        assert_eq!(rows.logs[&run_id(1)][5].payload, payload("step_failed"));
    }

    #[test]
    fn a_step_that_does_not_run_cannot_fail_after_the_end_of_its_run() {
        let mut rows = Rows::with_running_run();
        rows.does(step_created("s"));
        rows.does(EventBody::RunCancelled);
        assert_eq!(rows.refuses(step_failed("s")), expired());
    }
}
