//! A hook: a durable resume point with a token.

use super::id::{CorrelationId, HookToken, Position, RunId};

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
    /// Whether the public webhook route may resume it.
    pub is_webhook: bool,
}
