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

/// `now_ms` is the clock itself, not the event's time: `retry_after_ms` was set by a clock.
pub(super) fn start(log: &mut Log, step_id: CorrelationId, now_ms: i64) -> Result<(), Refusal> {
    let mut step = open_step(log, step_id)?;
    refuse_if_run_expired(log)?;
    if let Some(retry_after_ms) = step.retry_after_ms.filter(|at_ms| *at_ms > now_ms) {
        // Whole seconds, rounded up: the runtime hands them to the queue as they are.
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
    // An attempt that was running when its run ended may still report.
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
