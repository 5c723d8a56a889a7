//! A run: one execution of a workflow.

use super::attributes::Attributes;
use super::id::{Position, RunId};
use super::payload::StructuredError;
use super::spec::SpecVersion;

/// The status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// Created, not yet replayed.
    Pending,
    /// Started and not ended, even while it waits.
    Running,
    /// Ended with a return value.
    Completed,
    /// Ended with an error.
    Failed,
    /// Ended by a cancellation.
    Cancelled,
}

impl RunStatus {
    /// Every status, in the order of a run's life.
    pub const ALL: [RunStatus; 5] = [
        RunStatus::Pending,
        RunStatus::Running,
        RunStatus::Completed,
        RunStatus::Failed,
        RunStatus::Cancelled,
    ];

    /// The SDK's name of the status.
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Pending => "pending",
            RunStatus::Running => "running",
            RunStatus::Completed => "completed",
            RunStatus::Failed => "failed",
            RunStatus::Cancelled => "cancelled",
        }
    }

    /// Reads [`RunStatus::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether the run has ended.
    pub fn is_terminal(self) -> bool {
        !matches!(self, RunStatus::Pending | RunStatus::Running)
    }
}

/// A run as its log defines it. Payloads stay with the events that carry them; `input_position` and
/// `output_position` name these events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub run_id: RunId,
    /// Its status.
    pub status: RunStatus,
    /// The code version that owns it.
    pub deployment_id: String,
    /// The workflow's name, as the SDK's compiler made it.
    pub workflow_name: String,
    /// The event contract it uses.
    pub spec_version: u32,
    /// JSON object: SDK version, trace carrier and features of the process that started it.
    pub execution_context: Option<String>,
    /// The master key from which the run's own key is derived; `None` if its values are not encrypted.
    pub encryption_key_id: Option<String>,
    /// Its attributes.
    pub attributes: Attributes,
    /// The public key to which the SDK seals values for the run, in base64.
    pub encryption_public_key: Option<String>,
    /// The deployment id of the processes that continue it: its own, until another release adopts it. Line 5
    /// draws the ids of steps and hooks from the run's own, which therefore never changes.
    pub release_id: String,
    /// The event that carries the arguments.
    pub input_position: Option<Position>,
    /// The event that carries the return value.
    pub output_position: Option<Position>,
    /// The error with which it failed; `None` if its errors are bytes.
    pub error: Option<StructuredError>,
    /// The event that carries the error, if its errors are bytes.
    pub error_position: Option<Position>,
    /// The SDK's code of an error that is bytes.
    pub error_code: Option<String>,
    /// When it was created.
    pub created_at_ms: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
    /// When it was first started.
    pub started_at_ms: Option<i64>,
    /// When it ended.
    pub completed_at_ms: Option<i64>,
    /// When its values were dropped, which is at its end; `None` if they are kept.
    pub expired_at_ms: Option<i64>,
}

impl Run {
    /// The rules of its event contract.
    pub fn spec(&self) -> SpecVersion {
        SpecVersion(self.spec_version)
    }

    /// Whether the run predates the event log.
    pub fn is_legacy(&self) -> bool {
        self.spec().is_legacy()
    }
}
