//! A hook: a durable resume point with a token.

use super::id::{CorrelationId, HookToken, Position, RunId};

/// Who a hook belongs to; the same for every hook of one World.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Team or user.
    pub owner_id: String,
    /// Project.
    pub project_id: String,
    /// For example `production` or `development`.
    pub environment: String,
}

/// A hook as its run's log makes it; its metadata stays with the event that created it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The run it belongs to.
    pub run_id: RunId,
    /// Its id: the correlation id of its events.
    pub hook_id: CorrelationId,
    /// The secret that names it while it lives.
    pub token: HookToken,
    /// Who it belongs to.
    pub owner: Owner,
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
