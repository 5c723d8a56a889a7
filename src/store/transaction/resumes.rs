//! Resumes with an idempotency key.

use super::{Rows, Transaction};
use crate::domain::event::EventRequest;
use crate::domain::resume_key::{KeyedResume, ResumeKey, SWEPT_MAX, hook_as_made};
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
    Ok(rows.hook_created(&run_id, &hook_id)?.map(|event| {
        let hook = hook_as_made(&event, hook_id, key, environment);
        HookView { hook, metadata: event.payload }
    }))
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
