//! Resumes with an idempotency key, and those that the code of a step makes.

use super::{Rows, Transaction};
use crate::domain::event::{Event, EventRequest};
use crate::domain::id::HookToken;
use crate::domain::resume_key::{KeyedResume, ResumeKey, SWEPT_MAX};
use crate::domain::step_resume::StepResume;
use crate::error::WorldError;
use crate::store::HookView;

/// See [`Store::earlier_resume`](crate::store::Store::earlier_resume).
///
/// # Errors
/// `ResumeKeyReused`, storage faults.
pub fn earlier_resume(
    rows: &impl Rows,
    key: &ResumeKey,
    environment: Option<&str>,
    now_ms: i64,
) -> Result<Option<HookView>, WorldError> {
    let resume = by_key(rows, key)?;
    if !key.repeats(resume.as_ref(), now_ms)? {
        return Ok(None);
    }
    let Some(KeyedResume { run_id, hook_id, .. }) = resume else { return Ok(None) };
    let made = rows.hook_created(&run_id, &hook_id)?;
    Ok(made.map(|made| HookView::as_made(made, hook_id, &key.token, environment)))
}

/// The earlier resume, by whichever form of the key it is remembered.
fn by_key(rows: &impl Rows, key: &ResumeKey) -> Result<Option<KeyedResume>, WorldError> {
    for digests in key.forms() {
        if let Some(earlier) = rows.keyed_resume(&digests.key)? {
            return Ok(Some(earlier));
        }
    }
    Ok(None)
}

/// See [`Store::hook_of_step`](crate::store::Store::hook_of_step).
///
/// # Errors
/// Storage faults.
pub fn hook_of_step(
    rows: &impl Rows,
    place: &str,
    repeated: u32,
    token: &HookToken,
    environment: Option<&str>,
) -> Result<Option<HookView>, WorldError> {
    let resumed = rows.step_resume(&StepResume::names_from(place), repeated)?;
    let Some(Event { run_id, correlation_id: Some(hook_id), .. }) = resumed else {
        return Ok(None);
    };
    let made = rows.hook_created(&run_id, &hook_id)?;
    Ok(made.map(|made| HookView::as_made(made, hook_id, token, environment)))
}

impl<R: Rows> Transaction<'_, R> {
    /// See [`Store::resume_once`](crate::store::Store::resume_once).
    pub fn resume_once(
        &mut self,
        request: EventRequest,
        key: &ResumeKey,
    ) -> Result<bool, WorldError> {
        let now_ms = self.now.ms;
        if key.repeats(by_key(self.rows, key)?.as_ref(), now_ms)? {
            return Ok(true);
        }
        let resume = KeyedResume::of(&request, key, now_ms)?;
        self.append_event(request)?;
        self.rows.put_keyed_resume(&key.digests.key, &resume)?;
        self.rows.delete_expired_resumes(now_ms, SWEPT_MAX)?;
        Ok(false)
    }
}
