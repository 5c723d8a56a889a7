//! The life of a run: created, started, ended once.

use super::{Decision, Entity, Log, Seen, Stamp};
use crate::domain::change::Change;
use crate::domain::event::{EventRequest, EventType, RunCreation};
use crate::domain::id::{Position, RunId};
use crate::domain::payload::StructuredError;
use crate::domain::refusal::Refusal;
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
    let run = pending_run(run_id, creation, request.spec_version, stamp.now_ms);
    let mut log = Log::new(run, seen, request, stamp)?;
    log.change(Change::InsertRun(log.run.clone()));
    log.append();
    log.answer(Entity::Run);
    Ok(log.into_decision())
}

fn pending_run(run_id: RunId, creation: RunCreation, spec_version: u32, now_ms: i64) -> Run {
    Run {
        run_id,
        status: RunStatus::Pending,
        deployment_id: creation.deployment_id,
        workflow_name: creation.workflow_name,
        spec_version,
        execution_context: creation.execution_context,
        // The creating event is the first of the log.
        input_position: Some(1),
        output_position: None,
        error: None,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
        started_at_ms: None,
        completed_at_ms: None,
    }
}

/// Starts a run. Idempotent while it runs: every replay begins with this event, and only the first
/// is logged. Creates the run when its `run_created` never arrived (resilient start).
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
            pending_run(run_id, creation, request.spec_version, stamp.now_ms)
        }
        (None, _) => return Err(Refusal::RunNotFound(run_id)),
    };
    let mut log = Log::new(run, seen, request, stamp)?;
    if log.run.is_legacy() {
        let event_type = EventType::RunStarted.as_str();
        return Err(Refusal::RunTooOld { run_id: log.run.run_id, event_type });
    }
    log.decision.preload_events = true;
    log.answer(Entity::Run);
    match log.run.status {
        RunStatus::Running => return Ok(log.into_decision()),
        RunStatus::Pending => {}
        status => return Err(Refusal::RunExpired { run_id: log.run.run_id, status }),
    }
    // Creation data belongs to `run_created` and is never kept on `run_started`.
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

pub(super) fn complete(log: &mut Log) -> Result<(), Refusal> {
    log.refuse_if_ended()?;
    let position = log.append();
    end(log, RunStatus::Completed, Some(position), None);
    Ok(())
}

pub(super) fn fail(log: &mut Log, error: StructuredError) -> Result<(), Refusal> {
    log.refuse_if_ended()?;
    log.append();
    end(log, RunStatus::Failed, None, Some(error));
    Ok(())
}

/// Cancels a run. A second cancellation changes nothing but is logged, as the contract asks.
pub(super) fn cancel(log: &mut Log) -> Result<(), Refusal> {
    if log.run.status == RunStatus::Cancelled {
        log.append();
        log.answer(Entity::Run);
        return Ok(());
    }
    log.refuse_if_ended()?;
    log.append();
    end(log, RunStatus::Cancelled, None, None);
    Ok(())
}

pub(super) fn cancel_legacy(log: &mut Log) -> Result<(), Refusal> {
    if log.run.status != RunStatus::Cancelled {
        log.refuse_if_ended()?;
        end(log, RunStatus::Cancelled, None, None);
    }
    log.answer(Entity::Run);
    Ok(())
}

fn end(
    log: &mut Log,
    status: RunStatus,
    output_position: Option<Position>,
    error: Option<StructuredError>,
) {
    let now_ms = log.now_ms();
    log.run.status = status;
    log.run.output_position = output_position;
    log.run.error = error;
    log.run.updated_at_ms = now_ms;
    log.run.completed_at_ms = Some(now_ms);
    log.change(Change::UpdateRun(log.run.clone()));
    log.change(Change::FreeRun(log.run.run_id.clone()));
    log.answer(Entity::Run);
}
