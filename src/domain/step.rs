//! A step: a memoised unit of work of a run.

use super::id::{CorrelationId, MessageId, Position, RunId};
use super::payload::StructuredError;

/// The status of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepStatus {
    /// Created, or waiting for its next attempt.
    Pending,
    /// An attempt has begun.
    Running,
    /// Ended with a result.
    Completed,
    /// Ended with an error.
    Failed,
}

impl StepStatus {
    /// Every status.
    pub const ALL: [StepStatus; 4] =
        [StepStatus::Pending, StepStatus::Running, StepStatus::Completed, StepStatus::Failed];

    /// The SDK's name of the status.
    pub fn as_str(self) -> &'static str {
        match self {
            StepStatus::Pending => "pending",
            StepStatus::Running => "running",
            StepStatus::Completed => "completed",
            StepStatus::Failed => "failed",
        }
    }

    /// Reads [`StepStatus::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether the step has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, StepStatus::Completed | StepStatus::Failed)
    }
}

/// A step as its run's log defines it. Payloads stay with their events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The run it belongs to.
    pub run_id: RunId,
    /// Its id: the correlation id of its events.
    pub step_id: CorrelationId,
    /// The step function's name, as the SDK's compiler made it.
    pub step_name: String,
    /// Its status.
    pub status: StepStatus,
    /// The event that created it, which also carries the arguments.
    pub created_position: Position,
    /// The event that carries the result.
    pub output_position: Option<Position>,
    /// The last error; `None` if the errors of its run are bytes.
    pub error: Option<StructuredError>,
    /// The event that carries the last error, if the errors of its run are bytes.
    pub error_position: Option<Position>,
    /// The message whose delivery executes the current attempt itself; `None` if a message of its own
    /// executes it.
    pub owner: Option<MessageId>,
    /// How many attempts have begun.
    pub attempt: i64,
    /// When it was created.
    pub created_at_ms: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
    /// When its first attempt began.
    pub started_at_ms: Option<i64>,
    /// When it ended.
    pub completed_at_ms: Option<i64>,
    /// The earliest time at which its next attempt may begin.
    pub retry_after_ms: Option<i64>,
    /// The event contract its creation used.
    pub spec_version: u32,
}
