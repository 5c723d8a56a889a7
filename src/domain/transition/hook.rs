//! The life of a hook: created with a token of its own, received any number of times, disposed once.

use super::{Entity, Log};
use crate::domain::change::Change;
use crate::domain::event::EventType;
use crate::domain::hook::{Hook, Owner};
use crate::domain::id::{CorrelationId, HookToken};
use crate::domain::refusal::Refusal;

/// Creates a hook. A token that a live hook holds is not an error: the log records a
/// `hook_conflict`, and the workflow sees it when it is replayed.
pub(super) fn create(
    log: &mut Log,
    hook_id: CorrelationId,
    token: HookToken,
    is_webhook: bool,
    owner: &Owner,
) -> Result<(), Refusal> {
    log.refuse_if_ended()?;
    if !token.is_acceptable() {
        return Err(Refusal::TokenUnacceptable);
    }
    if log.hook.is_some() {
        return Err(Refusal::HookExists(hook_id));
    }
    if let Some(holder) = log.token_holder.take() {
        let data = conflict_data(&token, &holder);
        log.append_as(EventType::HookConflict, Some(data), None);
        return Ok(());
    }
    let created_position = log.append();
    let hook = Hook {
        run_id: log.run.run_id.clone(),
        hook_id,
        token,
        owner: owner.clone(),
        created_position,
        created_at_ms: log.now_ms(),
        disposed_at_ms: None,
        spec_version: log.spec_version,
        is_webhook,
    };
    let id = hook.hook_id.clone();
    log.change(Change::InsertHook(hook));
    log.answer(|run_id| Entity::Hook(run_id, id));
    Ok(())
}

fn conflict_data(token: &HookToken, holder: &Hook) -> String {
    serde_json::json!({
        "token": token.expose(),
        "conflictingRunId": holder.run_id.as_str(),
    })
    .to_string()
}

/// Logs a payload and wakes the run. A caller that names a token must name the hook's own: a hook id
/// alone, which is no secret, does not resume.
pub(super) fn receive(
    log: &mut Log,
    hook_id: CorrelationId,
    token: Option<HookToken>,
) -> Result<(), Refusal> {
    let hook = live_hook(log, hook_id)?;
    if token.is_some_and(|token| token != hook.token) {
        return Err(Refusal::HookNotFound(hook.hook_id));
    }
    log.append();
    log.wake();
    Ok(())
}

pub(super) fn dispose(log: &mut Log, hook_id: CorrelationId) -> Result<(), Refusal> {
    let disposed_before = log.hook.as_ref().is_some_and(|hook| hook.disposed_at_ms.is_some());
    if disposed_before && !log.run.status.is_terminal() {
        return Err(Refusal::HookDisposed(hook_id));
    }
    let hook = live_hook(log, hook_id)?;
    log.append();
    let at_ms = log.now_ms();
    log.change(Change::DisposeHook { run_id: hook.run_id, hook_id: hook.hook_id, at_ms });
    Ok(())
}

/// The hook, if it lives: not disposed, and its run not ended.
fn live_hook(log: &mut Log, hook_id: CorrelationId) -> Result<Hook, Refusal> {
    log.hook
        .take()
        .filter(|hook| hook.disposed_at_ms.is_none() && !log.run.status.is_terminal())
        .ok_or(Refusal::HookNotFound(hook_id))
}
