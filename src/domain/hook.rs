//! A hook: a durable resume point with a token.

use super::id::{CorrelationId, HookToken, Position, RunId};

/// A hook as its run's log makes it; its metadata stays with the event that created it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The run it belongs to.
    pub run_id: RunId,
    /// Its id: the correlation id of its events.
    pub hook_id: CorrelationId,
    /// The secret that names it while it lives.
    pub token: HookToken,
    /// Where it was made, for example `development`; `None` stands for `production`.
    pub environment: Option<String>,
    /// The event that carries the metadata, if it has any.
    pub metadata_position: Option<Position>,
    /// When it was created.
    pub created_at_ms: i64,
    /// When it was disposed; `None` while it lives. Kept until the run ends, so that a second
    /// disposal is told apart from a hook that never was.
    pub disposed_at_ms: Option<i64>,
    /// The event contract its creation used.
    pub spec_version: u32,
    /// Whether the public webhook route may resume it.
    pub is_webhook: bool,
}
