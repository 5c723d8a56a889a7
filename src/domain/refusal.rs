//! Refusals: why an event may not happen. A rule refuses before anything is written.

use thiserror::Error;

use super::id::{CorrelationId, RunId};
use super::run::RunStatus;
use super::spec::SPEC_VERSION_MAX;
use super::step::StepStatus;

/// The closed list of refusals. [`crate::error::WorldError`] gives each its code, and
/// `ts/native/errors.ts` its class, as the SDK's runtime expects.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)] // the messages document them
pub enum Refusal {
    #[error("run \"{0}\" does not exist")]
    RunNotFound(RunId),
    #[error("run \"{0}\" exists already")]
    RunExists(RunId),
    #[error("{0}")]
    RunIdUnacceptable(String),
    #[error("this event needs a run id")]
    RunIdMissing,
    #[error("run \"{run_id}\" is {} already: it cannot change any more", .status.as_str())]
    RunEnded { run_id: RunId, status: RunStatus },
    #[error("run \"{run_id}\" is {} already: nothing can be started in it", .status.as_str())]
    RunExpired { run_id: RunId, status: RunStatus },
    #[error(
        "run \"{0}\" has ended, and its values were dropped, because it was started with retention 0: it gets no new streams"
    )]
    ValuesDropped(RunId),
    #[error(
        "the run uses spec version {0}, but this hookline executes only versions 1 to 3 and 6 to {SPEC_VERSION_MAX}: \
         install a hookline that executes it"
    )]
    RunUnsupported(u32),
    #[error(
        "{event_type} is not possible on run \"{run_id}\": an SDK older than the event log made the run"
    )]
    RunTooOld { run_id: RunId, event_type: &'static str },
    #[error("step \"{0}\" does not exist")]
    StepNotFound(CorrelationId),
    #[error("step \"{0}\" exists already")]
    StepExists(CorrelationId),
    #[error("step \"{step}\" is {} already", .status.as_str())]
    StepEnded { step: CorrelationId, status: StepStatus },
    #[error("step \"{step}\" may start again in {retry_after_s} s")]
    TooEarly { step: CorrelationId, retry_after_s: i64 },
    #[error("hook \"{0}\" does not exist")]
    HookNotFound(CorrelationId),
    #[error("hook \"{0}\" exists already")]
    HookExists(CorrelationId),
    #[error("hook \"{0}\" is disposed already")]
    HookDisposed(CorrelationId),
    #[error(
        "run \"{holder}\" of this database holds the token of hook \"{hook_id}\": end that run, or dispose its hook"
    )]
    TokenHeld { hook_id: CorrelationId, holder: RunId },
    #[error("this idempotency key has been used for another payload: use a fresh key for it")]
    ResumeKeyReused,
    #[error(
        "this resume id has been used for another hook or payload: draw a fresh id for each resume"
    )]
    ResumeIdReused,
    #[error("only a resume has an idempotency key")]
    NotAResume,
    #[error("the cursor is not from this list; start without a cursor")]
    CursorUnreadable,
    #[error("the token of a hook may have at most {} characters", super::id::TOKEN_LENGTH_MAX)]
    TokenUnacceptable,
    #[error(
        "this delivery has lost its lease, so it can write nothing more: the message is delivered \
         again, or has been"
    )]
    LeaseLost,
    #[error(
        "the code that this process has loaded does not fit run \"{0}\", and other code may: another \
         release made the run, or another worker has other code"
    )]
    CodeMismatch(RunId),
    #[error(
        "release \"{0}\" is gone, as a person has said: start it again, or give its runs to another \
         release with hookline adopt, or end them with hookline cancel --release"
    )]
    ReleaseGone(String),
    #[error("wait \"{0}\" does not exist")]
    WaitNotFound(CorrelationId),
    #[error("wait \"{0}\" exists already")]
    WaitExists(CorrelationId),
    #[error("wait \"{0}\" is completed already")]
    WaitCompleted(CorrelationId),
    #[error("{0}")]
    AttributesUnacceptable(String),
    #[error("{0}")]
    BatchUnacceptable(String),
    #[error("the change of attributes \"{0}\" is made already")]
    AttributesSet(CorrelationId),
}

impl Refusal {
    /// Whether the delivery that asks must end, whatever else it asks for.
    pub fn ends_delivery(&self) -> bool {
        matches!(self, Self::LeaseLost | Self::CodeMismatch(_))
    }
}
