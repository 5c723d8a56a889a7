//! A wait: a durable timer of a run.

use super::id::{CorrelationId, RunId};

/// A wait as its run's log makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The run it belongs to.
    pub run_id: RunId,
    /// The correlation id of its events.
    pub correlation_id: CorrelationId,
    /// When it elapses.
    pub resume_at_ms: i64,
    /// When it was completed; `None` while it waits.
    pub completed_at_ms: Option<i64>,
    /// When it was created.
    pub created_at_ms: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
    /// The event contract its creation used.
    pub spec_version: u32,
}

impl Wait {
    /// The SDK's name of the entity: run id and correlation id.
    pub fn wait_id(&self) -> String {
        format!("{}-{}", self.run_id, self.correlation_id)
    }
}
