//! The life of a wait: created, completed once.

use super::{Entity, Log};
use crate::domain::change::Change;
use crate::domain::id::CorrelationId;
use crate::domain::refusal::Refusal;
use crate::domain::wait::Wait;

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

/// Completes a wait. It does not wake its run: the replay that saw it elapse writes this event, and
/// who completes a wait from outside wakes the run once for all of them.
pub(super) fn complete(log: &mut Log, correlation_id: CorrelationId) -> Result<(), Refusal> {
    // The waits of an ended run are gone; the runtime skips a conflict, and would retry a not-found.
    log.refuse_if_ended()?;
    let mut wait = log.wait.take().ok_or(Refusal::WaitNotFound(correlation_id))?;
    if wait.completed_at_ms.is_some() {
        return Err(Refusal::WaitCompleted(wait.correlation_id));
    }
    log.append();
    wait.completed_at_ms = Some(log.now_ms());
    wait.updated_at_ms = log.now_ms();
    let id = wait.correlation_id.clone();
    log.change(Change::UpdateWait(wait));
    log.answer(|run_id| Entity::Wait(run_id, id));
    Ok(())
}
