//! Events: the facts of a run's log, the closed list of `@workflow/world`.

use super::attributes::AttributeChanges;
use super::fence::Fence;
use super::hook::{Hook, HookOptions};
use super::id::{CorrelationId, HookToken, MessageId, Position, RunId};
use super::payload::{Payload, StructuredError};
use super::queue::hold::CodeMismatch;
use super::spec::spec_version_of_new_runs;
use super::step_resume::StepResume;

/// The event types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the SDK documents these names
pub enum EventType {
    RunCreated,
    RunStarted,
    RunCompleted,
    RunFailed,
    RunCancelled,
    StepCreated,
    StepStarted,
    StepCompleted,
    StepFailed,
    StepRetrying,
    HookCreated,
    HookReceived,
    HookDisposed,
    HookConflict,
    WaitCreated,
    WaitCompleted,
    AttrSet,
    /// Fills a position whose writer died. This World never writes it, but may import it.
    Noop,
}

impl EventType {
    /// Every event type.
    pub const ALL: [EventType; 18] = [
        EventType::RunCreated,
        EventType::RunStarted,
        EventType::RunCompleted,
        EventType::RunFailed,
        EventType::RunCancelled,
        EventType::StepCreated,
        EventType::StepStarted,
        EventType::StepCompleted,
        EventType::StepFailed,
        EventType::StepRetrying,
        EventType::HookCreated,
        EventType::HookReceived,
        EventType::HookDisposed,
        EventType::HookConflict,
        EventType::WaitCreated,
        EventType::WaitCompleted,
        EventType::AttrSet,
        EventType::Noop,
    ];

    /// The SDK's name of the type.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::RunCreated => "run_created",
            EventType::RunStarted => "run_started",
            EventType::RunCompleted => "run_completed",
            EventType::RunFailed => "run_failed",
            EventType::RunCancelled => "run_cancelled",
            EventType::StepCreated => "step_created",
            EventType::StepStarted => "step_started",
            EventType::StepCompleted => "step_completed",
            EventType::StepFailed => "step_failed",
            EventType::StepRetrying => "step_retrying",
            EventType::HookCreated => "hook_created",
            EventType::HookReceived => "hook_received",
            EventType::HookDisposed => "hook_disposed",
            EventType::HookConflict => "hook_conflict",
            EventType::WaitCreated => "wait_created",
            EventType::WaitCompleted => "wait_completed",
            EventType::AttrSet => "attr_set",
            EventType::Noop => "noop",
        }
    }

    /// Reads [`EventType::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.as_str() == text)
    }
}

/// The data that creates a run: on `run_created`, or on a `run_started` that finds no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCreation {
    /// The code version that will own the run.
    pub deployment_id: String,
    /// The release that continues the run, if not the one with its deployment id: another release has
    /// adopted the message that starts it.
    pub release_id: Option<String>,
    /// The workflow's name.
    pub workflow_name: String,
    /// JSON object: see [`super::run::Run::execution_context`].
    pub execution_context: Option<String>,
    /// Whether `run_created` also writes the run's first wake-up. Then a crash leaves either nothing or
    /// a run that starts. The SDK's own `start` enqueues in a second call instead.
    pub wakes: bool,
    /// See [`super::run::Run::encryption_key_id`].
    pub encryption_key_id: Option<String>,
    /// See [`super::run::Run::attributes`].
    pub attributes: AttributeChanges,
    /// See [`super::run::Run::encryption_public_key`].
    pub encryption_public_key: Option<String>,
}

/// The parts of a requested event that the rules read. `hook_conflict` and `noop` are absent, because
/// only Worlds write them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the variants are the event types, the fields are the SDK's
pub enum EventBody {
    RunCreated(RunCreation),
    /// Carries creation data if the run may not exist yet (resilient start).
    RunStarted(Option<RunCreation>),
    RunCompleted,
    RunFailed(StructuredError),
    RunCancelled,
    StepCreated {
        step: CorrelationId,
        step_name: String,
    },
    StepStarted {
        step: CorrelationId,
        /// See [`Step::owner`](super::step::Step::owner).
        owner: Option<MessageId>,
        /// The name of a step that this event also creates, with the payload as its input.
        creates: Option<String>,
    },
    StepCompleted {
        step: CorrelationId,
    },
    StepFailed {
        step: CorrelationId,
        error: StructuredError,
    },
    StepRetrying {
        step: CorrelationId,
        error: StructuredError,
        retry_after_ms: Option<i64>,
    },
    HookCreated {
        hook: CorrelationId,
        token: HookToken,
        options: HookOptions,
    },
    HookReceived {
        hook: CorrelationId,
        token: Option<HookToken>,
    },
    HookDisposed {
        hook: CorrelationId,
    },
    WaitCreated {
        wait: CorrelationId,
        resume_at_ms: i64,
    },
    WaitCompleted {
        wait: CorrelationId,
    },
    AttrSet {
        /// The name of the change, if workflow code makes it. A step's change has none.
        id: Option<CorrelationId>,
        changes: AttributeChanges,
    },
}

impl EventBody {
    /// The event type that this body asks for.
    pub fn event_type(&self) -> EventType {
        match self {
            EventBody::RunCreated(_) => EventType::RunCreated,
            EventBody::RunStarted(_) => EventType::RunStarted,
            EventBody::RunCompleted => EventType::RunCompleted,
            EventBody::RunFailed(_) => EventType::RunFailed,
            EventBody::RunCancelled => EventType::RunCancelled,
            EventBody::StepCreated { .. } => EventType::StepCreated,
            EventBody::StepStarted { .. } => EventType::StepStarted,
            EventBody::StepCompleted { .. } => EventType::StepCompleted,
            EventBody::StepFailed { .. } => EventType::StepFailed,
            EventBody::StepRetrying { .. } => EventType::StepRetrying,
            EventBody::HookCreated { .. } => EventType::HookCreated,
            EventBody::HookReceived { .. } => EventType::HookReceived,
            EventBody::HookDisposed { .. } => EventType::HookDisposed,
            EventBody::WaitCreated { .. } => EventType::WaitCreated,
            EventBody::WaitCompleted { .. } => EventType::WaitCompleted,
            EventBody::AttrSet { .. } => EventType::AttrSet,
        }
    }

    /// The step, hook, wait or change of attributes that the event is about.
    pub fn correlation_id(&self) -> Option<&CorrelationId> {
        match self {
            EventBody::RunCreated(_)
            | EventBody::RunStarted(_)
            | EventBody::RunCompleted
            | EventBody::RunFailed(_)
            | EventBody::RunCancelled => None,
            EventBody::StepCreated { step: id, .. }
            | EventBody::StepStarted { step: id, .. }
            | EventBody::StepCompleted { step: id }
            | EventBody::StepFailed { step: id, .. }
            | EventBody::StepRetrying { step: id, .. }
            | EventBody::HookCreated { hook: id, .. }
            | EventBody::HookReceived { hook: id, .. }
            | EventBody::HookDisposed { hook: id }
            | EventBody::WaitCreated { wait: id, .. }
            | EventBody::WaitCompleted { wait: id } => Some(id),
            EventBody::AttrSet { id, .. } => id.as_ref(),
        }
    }
}

/// The part of the log that a caller wants with the answer to its event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Everything after this position, the caller's own event too.
    pub since: Option<Position>,
    /// The events that the caller did not know: it holds this many, and its own event comes after more.
    /// Not answered if `since` is given.
    pub held: Option<Position>,
    /// Whether a start is answered without the log.
    pub skips_log: bool,
}

/// Names one resume of a run, so that its repetition is recognised, for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeMark {
    /// The name, drawn by the caller; that of a resume by a step:
    /// [`StepResume::mark`](super::step_resume::StepResume::mark).
    pub id: String,
    /// A digest of the payload; `None` if the caller gives none.
    pub payload_digest: Option<String>,
}

impl ResumeMark {
    /// Whether another resume with the same name may be the same one.
    pub fn repeats(&self, earlier: &Self) -> bool {
        match (&self.payload_digest, &earlier.payload_digest) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}

/// A request to append one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRequest {
    /// The run; `None` asks the engine to name a new one (`run_created` only).
    pub run_id: Option<RunId>,
    /// The parts that the rules read.
    pub body: EventBody,
    /// The event contract that the caller speaks.
    pub spec_version: u32,
    /// JSON object: the caller's `eventData` without its payload, unchanged.
    pub data: Option<String>,
    /// The value that the event carries.
    pub payload: Option<Payload>,
    /// The delivery that writes the event; `None` if the event needs no lease.
    pub fence: Option<Fence>,
    /// Set if the event would fail a run or start a step only because the code of the delivering
    /// process does not fit.
    pub code_mismatch: Option<CodeMismatch>,
    /// The part of the log that the caller wants to know.
    pub report: Report,
    /// The name of the resume, on `hook_received`.
    pub resume: Option<ResumeMark>,
}

impl EventRequest {
    /// The resume of a hook, as the SDK writes it.
    pub fn resume(hook: &Hook, payload: Payload) -> Self {
        Self {
            run_id: Some(hook.run_id.clone()),
            body: EventBody::HookReceived {
                hook: hook.hook_id.clone(),
                token: Some(hook.token.clone()),
            },
            spec_version: spec_version_of_new_runs(hook.spec_version),
            data: Some(token_json(&hook.token)),
            payload: Some(payload),
            fence: None,
            code_mismatch: None,
            report: Report::default(),
            resume: None,
        }
    }

    /// The lease without which the event may not be appended.
    pub fn needed_lease(&self) -> Option<&Fence> {
        self.fence.as_ref().filter(|_| self.body.event_type().is_of_delivery())
    }

    /// The approximate number of bytes that the caller's values take.
    pub fn bytes(&self) -> usize {
        let payload = self.payload.as_ref().map_or(0, |payload| payload.as_bytes().len());
        payload + self.data.as_ref().map_or(0, String::len)
    }
}

/// The data of a `hook_received`, as the SDK writes it.
pub fn token_json(token: &HookToken) -> String {
    serde_json::json!({ "token": token.expose() }).to_string()
}

/// One event of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The run to whose log the event belongs.
    pub run_id: RunId,
    /// Its position in the log.
    pub position: Position,
    /// The type of the event.
    pub event_type: EventType,
    /// The step, hook or wait that the event is about.
    pub correlation_id: Option<CorrelationId>,
    /// The time of the event. It is never less than the time of the event before it in the same log,
    /// even if the clock was set back.
    pub created_at_ms: i64,
    /// The event contract it was appended with.
    pub spec_version: u32,
    /// The spec version of its run, which decides how its public id is made.
    pub run_spec_version: u32,
    /// JSON object without the payload.
    pub data: Option<String>,
    /// The value it carries; absent when the reader did not ask for it.
    pub payload: Option<Payload>,
    /// The name of the resume that it is.
    pub resume: Option<ResumeMark>,
}

impl Event {
    /// Its public id.
    pub fn event_id(&self) -> String {
        super::id::event_id(self.run_spec_version, self.position, self.created_at_ms)
    }

    /// Drops what it carries of the user's values: the payload, and the digest of one.
    pub fn drop_values(&mut self) {
        self.payload = None;
        self.resume = self.resume.take().map(|resume| match StepResume::of(&resume) {
            Some(step) => step.without_payload(self.position),
            None => ResumeMark { payload_digest: None, ..resume },
        });
    }
}
