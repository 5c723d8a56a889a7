//! A hook: a durable resume point with a token.

use super::id::{CorrelationId, HookToken, Position, RunId};
use super::run::Run;
use super::spec::SpecVersion;

/// A hook as its run's log defines it. The metadata stays with the event that created the hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The run it belongs to.
    pub run_id: RunId,
    /// Its id: the correlation id of its events.
    pub hook_id: CorrelationId,
    /// The secret that names it while it lives.
    pub token: HookToken,
    /// The environment that created it, for example `development`; `None` means `production`.
    pub environment: Option<String>,
    /// The event that carries the metadata, if it has any.
    pub metadata_position: Option<Position>,
    /// When it was created.
    pub created_at_ms: i64,
    /// The time of its disposal; `None` while it lives. The row stays until the run ends, so that a
    /// second disposal differs from a hook that never existed.
    pub disposed_at_ms: Option<i64>,
    /// The event contract its creation used.
    pub spec_version: u32,
    /// What its creator asked for.
    pub options: HookOptions,
    /// Whether its run has ended, and only the token is still held.
    pub outlives_run: bool,
}

/// What the creator of a hook asks for, besides the token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HookOptions {
    /// Whether the public webhook route may resume it.
    pub is_webhook: bool,
    /// Whether the SDK itself made it, for its own use.
    pub is_system: bool,
    /// Until when the hook keeps its token at least, also after the end of its run.
    pub retained_until_ms: Option<i64>,
}

impl Hook {
    /// Its run ends. Whether the hook stays, because its token is retained longer.
    pub fn outlive(&mut self, now_ms: i64) -> bool {
        self.outlives_run = self.disposed_at_ms.is_none() && self.options.is_retained(now_ms);
        self.outlives_run
    }

    /// Whether the hook no longer keeps its token, though no event says so: its run has ended, and the
    /// time for which the token was retained is over.
    pub fn is_over(&self, now_ms: i64) -> bool {
        self.outlives_run && !self.options.is_retained(now_ms)
    }
}

/// Whether this hook takes a payload of plain data, which the SDK serialises in the same way for every
/// hook: its run is of no version that has JSON, and has no key. A hook with metadata does not, because
/// that must be readable before anything is written.
pub fn takes_plain_payload(hook: &Hook, run: &Run) -> bool {
    !SpecVersion(hook.spec_version).is_legacy()
        && run.encryption_key_id.is_none()
        && hook.metadata_position.is_none()
}

impl HookOptions {
    /// Whether the token is kept now even if the run has ended.
    pub fn is_retained(&self, now_ms: i64) -> bool {
        self.retained_until_ms.is_some_and(|until_ms| until_ms > now_ms)
    }
}
