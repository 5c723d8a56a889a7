//! A wait: a durable timer of a run.

use super::id::{CorrelationId, RunId};

/// A wait as its run's log defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The run it belongs to.
    pub run_id: RunId,
    /// The correlation id of its events.
    pub correlation_id: CorrelationId,
    /// The time at which it elapses.
    pub resume_at_ms: i64,
    /// The time of its completion; `None` while it is pending.
    pub completed_at_ms: Option<i64>,
    /// When it was created.
    pub created_at_ms: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
    /// The event contract its creation used.
    pub spec_version: u32,
}

impl Wait {
    /// The SDK's id of a wait: run id and correlation id.
    pub fn wait_id(&self) -> String {
        format!("{}-{}", self.run_id, self.correlation_id)
    }
}
