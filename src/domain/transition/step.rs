//! The life of a step: created, started once per attempt, ended once.

use super::{Entity, Log};
use crate::domain::change::Change;
use crate::domain::id::CorrelationId;
use crate::domain::payload::StructuredError;
use crate::domain::refusal::Refusal;
use crate::domain::step::{Step, StepStatus};

pub(super) fn create(
    log: &mut Log,
    step_id: CorrelationId,
    step_name: String,
) -> Result<(), Refusal> {
    log.refuse_if_ended()?;
    if log.step.is_some() {
        return Err(Refusal::StepExists(step_id));
    }
    let created_position = log.append();
    let step = Step {
        run_id: log.run.run_id.clone(),
        step_id,
        step_name,
        status: StepStatus::Pending,
        created_position,
        output_position: None,
        error: None,
        attempt: 0,
        created_at_ms: log.now_ms(),
        updated_at_ms: log.now_ms(),
        started_at_ms: None,
        completed_at_ms: None,
        retry_after_ms: None,
        spec_version: log.spec_version,
    };
    let id = step.step_id.clone();
    log.change(Change::InsertStep(step));
    log.answer(|run_id| Entity::Step(run_id, id));
    Ok(())
}

/// `now_ms` is the clock's time, not the event's, because `retry_after_ms` is a time of the clock.
pub(super) fn start(log: &mut Log, step_id: CorrelationId, now_ms: i64) -> Result<(), Refusal> {
    let mut step = open_step(log, step_id)?;
    refuse_if_run_expired(log)?;
    if let Some(retry_after_ms) = step.retry_after_ms.filter(|at_ms| *at_ms > now_ms) {
        // Whole seconds, rounded up, because the runtime passes them to the queue unchanged.
        let retry_after_s = (retry_after_ms - now_ms + 999) / 1000;
        return Err(Refusal::TooEarly { step: step.step_id, retry_after_s });
    }
    step.status = StepStatus::Running;
    step.attempt += 1;
    step.started_at_ms = step.started_at_ms.or(Some(log.now_ms()));
    step.retry_after_ms = None;
    log.append();
    update(log, step);
    Ok(())
}

pub(super) fn complete(log: &mut Log, step_id: CorrelationId) -> Result<(), Refusal> {
    let mut step = open_step(log, step_id)?;
    let position = log.append();
    step.status = StepStatus::Completed;
    step.output_position = Some(position);
    step.completed_at_ms = Some(log.now_ms());
    update(log, step);
    log.wake();
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
    log.append();
    step.status = StepStatus::Failed;
    step.error = Some(error);
    step.completed_at_ms = Some(log.now_ms());
    update(log, step);
    log.wake();
    Ok(())
}

pub(super) fn retry(
    log: &mut Log,
    step_id: CorrelationId,
    error: StructuredError,
    retry_after_ms: Option<i64>,
) -> Result<(), Refusal> {
    let mut step = open_step(log, step_id)?;
    log.append();
    step.status = StepStatus::Pending;
    step.error = Some(error);
    step.retry_after_ms = retry_after_ms;
    update(log, step);
    Ok(())
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
    use crate::domain::event::EventBody;
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
    fn a_step_that_does_not_run_cannot_fail_after_the_end_of_its_run() {
        let mut rows = Rows::with_running_run();
        rows.does(step_created("s"));
        rows.does(EventBody::RunCancelled);
        assert_eq!(rows.refuses(step_failed("s")), expired());
    }
}
