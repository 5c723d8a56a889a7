//! The one error type of the engine: a closed list of kinds, each with a stable code.

use serde_json::{Value, json};
use thiserror::Error;

use crate::domain::refusal::Refusal;

/// What kind of error; `ts/native/errors.ts` makes a class of the SDK out of each code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No such run.
    RunNotFound,
    /// No live hook with this id or token.
    HookNotFound,
    /// No such step, wait, event or page.
    NotFound,
    /// The entity is not in a state that allows this: exists already, or has ended.
    EntityConflict,
    /// An idempotency key stands for another payload.
    IdempotencyConflict,
    /// The run has ended.
    RunExpired,
    /// The delivery that writes has lost its lease.
    LeaseLost,
    /// The code of the delivering process does not fit the run, and other code may.
    CodeMismatch,
    /// The release that was to get a message is gone.
    ReleaseGone,
    /// A step's `retryAfter` has not come yet.
    TooEarly,
    /// Too much is under way; try again after `retryAfter` seconds.
    Throttled,
    /// The run needs a newer engine.
    RunNotSupported,
    /// The caller passed something that cannot be.
    Invalid,
    /// Another process holds the database for longer than we wait.
    Busy,
    /// The disk is full.
    StorageFull,
    /// The database or its folder may not be written.
    ReadOnly,
    /// The database cannot be opened.
    CannotOpen,
    /// The database file is damaged.
    Corrupt,
    /// The file is something else, not a database of ours.
    ForeignFile,
    /// The database was written by a newer engine.
    NewerDatabase,
    /// The database was moved to another place.
    Moved,
    /// The SQLite library has a known defect that loses data.
    OldSqlite,
    /// An option or environment variable is malformed.
    BadConfig,
    /// What is stored was sealed under a key that the key ring does not have.
    EncryptionKeyMissing,
    /// The key ring has another key under the id of the one that was used.
    EncryptionKeyWrong,
    /// The world was closed.
    Closed,
    /// The operating system failed a read or a write.
    Io,
    /// The disk failed in the middle of a commit and has not recovered, so that nobody knows whether
    /// the next opening finds it.
    OutcomeUnknown,
    /// A defect of ours.
    Internal,
}

impl ErrorKind {
    /// The code that crosses into JavaScript; part of the contract with `ts/native/errors.ts`.
    pub fn code(self) -> &'static str {
        match self {
            ErrorKind::RunNotFound => "RUN_NOT_FOUND",
            ErrorKind::HookNotFound => "HOOK_NOT_FOUND",
            ErrorKind::NotFound => "NOT_FOUND",
            ErrorKind::EntityConflict => "ENTITY_CONFLICT",
            ErrorKind::IdempotencyConflict => "IDEMPOTENCY_CONFLICT",
            ErrorKind::RunExpired => "RUN_EXPIRED",
            ErrorKind::LeaseLost => "LEASE_LOST",
            ErrorKind::CodeMismatch => "CODE_MISMATCH",
            ErrorKind::ReleaseGone => "RELEASE_GONE",
            ErrorKind::TooEarly => "TOO_EARLY",
            ErrorKind::Throttled => "THROTTLED",
            ErrorKind::RunNotSupported => "RUN_NOT_SUPPORTED",
            ErrorKind::Invalid => "INVALID",
            ErrorKind::Busy => "BUSY",
            ErrorKind::StorageFull => "STORAGE_FULL",
            ErrorKind::ReadOnly => "READ_ONLY",
            ErrorKind::CannotOpen => "CANNOT_OPEN",
            ErrorKind::Corrupt => "CORRUPT",
            ErrorKind::ForeignFile => "FOREIGN_FILE",
            ErrorKind::NewerDatabase => "NEWER_DATABASE",
            ErrorKind::Moved => "MOVED",
            ErrorKind::OldSqlite => "OLD_SQLITE",
            ErrorKind::BadConfig => "BAD_CONFIG",
            ErrorKind::EncryptionKeyMissing => "ENCRYPTION_KEY_MISSING",
            ErrorKind::EncryptionKeyWrong => "ENCRYPTION_KEY_WRONG",
            ErrorKind::Closed => "CLOSED",
            ErrorKind::Io => "IO",
            ErrorKind::OutcomeUnknown => "OUTCOME_UNKNOWN",
            ErrorKind::Internal => "INTERNAL",
        }
    }

    /// The HTTP-like status by which the SDK's runtime tells a passing fault (500 and above:
    /// deliver again) from a final one; `None` where the class itself says it.
    pub fn status(self) -> Option<u16> {
        match self {
            ErrorKind::Invalid => Some(400),
            // Not 500 and above, which is the storage's; any status keeps the runtime from failing
            // the run for it.
            ErrorKind::LeaseLost | ErrorKind::CodeMismatch | ErrorKind::ReleaseGone => Some(409),
            ErrorKind::Busy | ErrorKind::Closed => Some(503),
            ErrorKind::StorageFull => Some(507),
            ErrorKind::ReadOnly
            | ErrorKind::CannotOpen
            | ErrorKind::Corrupt
            | ErrorKind::ForeignFile
            | ErrorKind::NewerDatabase
            | ErrorKind::Moved
            | ErrorKind::OldSqlite
            | ErrorKind::BadConfig
            | ErrorKind::EncryptionKeyMissing
            | ErrorKind::EncryptionKeyWrong
            | ErrorKind::Io
            | ErrorKind::OutcomeUnknown
            | ErrorKind::Internal => Some(500),
            ErrorKind::RunNotFound
            | ErrorKind::HookNotFound
            | ErrorKind::NotFound
            | ErrorKind::EntityConflict
            | ErrorKind::IdempotencyConflict
            | ErrorKind::RunExpired
            | ErrorKind::TooEarly
            | ErrorKind::Throttled
            | ErrorKind::RunNotSupported => None,
        }
    }

    /// Whether the same may go well a little later, without anybody's help.
    pub fn may_pass(self) -> bool {
        matches!(
            self,
            ErrorKind::Busy
                | ErrorKind::StorageFull
                | ErrorKind::CannotOpen
                | ErrorKind::Io
                | ErrorKind::Throttled
        )
    }

    /// Whether the storage failed, as opposed to an answer of the rules.
    pub fn is_storage_fault(self) -> bool {
        self.status().is_some_and(|status| status >= 500)
    }
}

/// Why an operation did not happen. The message says what was wrong and what to do; it never holds
/// a token, a payload or a key.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{message}")]
pub struct WorldError {
    /// What kind.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
    /// JSON object with the fields of the JavaScript error.
    pub details: Value,
    /// Whether everything else will be refused with the same until the process starts again.
    pub is_final: bool,
}

impl WorldError {
    /// An error without further fields.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let details = match kind.status() {
            Some(status) => json!({ "status": status }),
            None => json!({}),
        };
        Self { kind, message: message.into(), details, is_final: false }
    }

    /// The same, as the last word: from now on the store refuses everything so.
    pub fn for_good(mut self) -> Self {
        self.is_final = true;
        self
    }

    /// Whether the same operation may go well a little later, without anybody's help.
    pub fn may_pass(&self) -> bool {
        self.kind.may_pass() && !self.is_final
    }

    /// Adds a field.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details[name] = value.into();
        self
    }

    /// A caller's argument that cannot be.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Too much is under way; the caller is told when to try again.
    pub fn throttled(message: impl Into<String>) -> Self {
        /// In seconds.
        const RETRY_AFTER_S: i64 = 1;
        Self::new(ErrorKind::Throttled, message).with("retryAfter", RETRY_AFTER_S)
    }

    /// The answer of an operation that a closed world did not do.
    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "this World is closed: make another one")
    }

    /// Something that is named does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// No such run.
    pub fn run_not_found(run_id: &str) -> Self {
        Self::new(ErrorKind::RunNotFound, format!("run \"{run_id}\" does not exist"))
            .with("runId", run_id)
    }

    /// No live hook. `named_by` is what the caller itself named it by: an id, or the token, which
    /// stands in the error's own field and never in its message.
    pub fn hook_not_found(named_by: &str) -> Self {
        Self::new(ErrorKind::HookNotFound, "Hook not found").with("token", named_by)
    }
}

impl From<Refusal> for WorldError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let of = |kind| Self::new(kind, message.clone());
        match &refusal {
            Refusal::RunNotFound(run_id) => Self::run_not_found(run_id.as_str()),
            Refusal::HookNotFound(hook_id) => Self::hook_not_found(hook_id.as_str()),
            Refusal::RunExists(_)
            | Refusal::RunEnded { .. }
            | Refusal::StepExists(_)
            | Refusal::StepEnded { .. }
            | Refusal::HookExists(_)
            | Refusal::HookDisposed(_)
            | Refusal::TokenHeld { .. }
            | Refusal::WaitExists(_)
            | Refusal::WaitCompleted(_)
            | Refusal::AttributesSet(_)
            | Refusal::ResumeIdReused => of(ErrorKind::EntityConflict),
            Refusal::LeaseLost => of(ErrorKind::LeaseLost),
            Refusal::CodeMismatch(_) => of(ErrorKind::CodeMismatch),
            Refusal::ReleaseGone(_) => of(ErrorKind::ReleaseGone),
            Refusal::ResumeKeyReused => of(ErrorKind::IdempotencyConflict),
            Refusal::RunExpired { .. } | Refusal::ValuesDropped(_) => of(ErrorKind::RunExpired),
            Refusal::TooEarly { retry_after_s, .. } => {
                of(ErrorKind::TooEarly).with("retryAfter", *retry_after_s)
            }
            Refusal::RunUnsupported(spec_version) => of(ErrorKind::RunNotSupported)
                .with("runSpecVersion", *spec_version)
                .with("worldSpecVersion", crate::domain::spec::SPEC_VERSION_MAX),
            Refusal::StepNotFound(_) | Refusal::WaitNotFound(_) => of(ErrorKind::NotFound),
            Refusal::RunIdUnacceptable(_)
            | Refusal::RunIdMissing
            | Refusal::RunTooOld { .. }
            | Refusal::NotAResume
            | Refusal::CursorUnreadable
            | Refusal::TokenUnacceptable
            | Refusal::AttributesUnacceptable(_)
            | Refusal::BatchUnacceptable(_) => of(ErrorKind::Invalid),
        }
    }
}
