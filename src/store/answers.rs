//! What operations of a store answer, and what a commit tells.

use super::{ActivePlace, PlainResume};
use crate::domain::event::Event;
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, HookToken, MessageId, RunId};
use crate::domain::message::Delivery;
use crate::domain::page::Page;
use crate::domain::payload::Payload;
use crate::domain::queue::offer::Demand;
use crate::domain::resume_key::hook_as_made;
use crate::domain::run::Run;
use crate::domain::step::Step;
use crate::domain::wait::Wait;
use crate::error::WorldError;

/// A run with the payloads that a reader asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RunView {
    /// The run.
    pub run: Run,
    /// Its arguments.
    pub input: Option<Payload>,
    /// Its return value.
    pub output: Option<Payload>,
    /// Its error, if its errors are bytes. A reader who asked for no payloads gets it too.
    pub error: Option<Payload>,
}

/// A step with the payloads that a reader asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct StepView {
    /// The step.
    pub step: Step,
    /// Its arguments.
    pub input: Option<Payload>,
    /// Its result.
    pub output: Option<Payload>,
    /// Its last error, if the errors of its run are bytes. A reader who asked for no payloads gets it
    /// too.
    pub error: Option<Payload>,
}

/// A hook with its metadata, where a reader asked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct HookView {
    /// The hook.
    pub hook: Hook,
    /// Its metadata.
    pub metadata: Option<Payload>,
}

impl HookView {
    /// The hook that an earlier resume found, with its metadata; see [`hook_as_made`].
    pub(crate) fn as_made(
        made: Event,
        hook_id: CorrelationId,
        token: &HookToken,
        environment: Option<&str>,
    ) -> Self {
        let hook = hook_as_made(&made, hook_id, token, environment);
        Self { hook, metadata: made.payload }
    }
}

/// What an appended event answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventReply {
    /// The event, without its payload, which the caller has; `None` when nothing was logged.
    pub event: Option<Event>,
    /// Whether the event has also created its step.
    pub step_created: bool,
    /// The run that it changed.
    pub run: Option<RunView>,
    /// The step that it changed.
    pub step: Option<StepView>,
    /// The hook that it made.
    pub hook: Option<HookView>,
    /// The wait that it changed.
    pub wait: Option<Wait>,
    /// The part of the log that the caller wanted to know.
    pub events: Option<Page<Event>>,
    /// The wake-up that the event wrote or was absorbed by.
    pub wake_up: Option<MessageId>,
}

/// The outcome of one event of a batch.
pub type Appended = Result<EventReply, WorldError>;

/// What a worker gets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claimed {
    /// The messages, each leased.
    pub deliveries: Vec<Delivery>,
    /// When the next message that may not be claimed yet becomes due. `None` also when the worker got
    /// as many as it wanted: more may be due already.
    pub next_due_at_ms: Option<i64>,
    /// What time it is for the queue, which is not the host's when that was set back.
    pub now_ms: i64,
}

/// What a part of the search for forgotten runs came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Woken {
    /// How many runs have a wake-up now that had none.
    pub runs: usize,
    /// Where to go on; `None` at the end.
    pub next: Option<ActivePlace>,
}

/// Whether a delivery may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may, now.
    Admitted(Delivery),
    /// It was let in before, be it in another process.
    Repeated,
    /// The message does not have that lease any more.
    LeaseLost,
}

/// How much the queue holds, for all processes, and how many runs are under way. A store may stop
/// counting at a large number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages that could be delivered now.
    pub due: i64,
    /// Messages that are due, and that no living process offers to take.
    pub parked: Vec<Parked>,
    /// Messages that become due later.
    pub sleeping: i64,
    /// Messages that are being delivered.
    pub leased: i64,
    /// Messages that were given up.
    pub dead: i64,
    /// Messages that are [held](crate::domain::queue::hold).
    pub held: i64,
    /// For how many milliseconds the oldest due message has been due.
    pub oldest_due_ms: Option<i64>,
    /// Runs that were created and not started.
    pub pending_runs: i64,
    /// Runs that were started and have not ended.
    pub running_runs: i64,
    /// The write-ahead log of the database.
    pub log: LogState,
}

/// The outcome of one message among several: the id of the message that will be delivered, or why it
/// was refused.
pub type Enqueued = Result<MessageId, WorldError>;

/// Due messages that no living process offers to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// What they need.
    pub demand: Demand,
    /// How many; a store may stop counting at a large number.
    pub count: i64,
    /// For how many milliseconds the oldest has been due.
    pub oldest_due_ms: i64,
}

/// The write-ahead log of a SQLite database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogState {
    /// The length of its file.
    pub bytes: i64,
    /// The processes that read from it, where the system tells, if it is long: one of them may hold it.
    pub read_by: Vec<i64>,
}

/// Why a message is not delivered until a person, or a new worker, does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It was given up.
    Dead,
    /// It is [held](crate::domain::queue::hold).
    Held,
}

/// A dead or held message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedMessage {
    /// The message.
    pub message_id: MessageId,
    /// Which handler it was for.
    pub queue_name: String,
    /// The run that it was to replay, if any.
    pub run_id: Option<RunId>,
    /// How often it was delivered.
    pub attempt: i64,
    /// What went wrong the last time.
    pub error: Option<String>,
    /// When it was enqueued.
    pub created_at_ms: i64,
    /// When it was given up, or since when it is held.
    pub stopped_at_ms: i64,
}

/// A slice of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StreamSlice {
    /// The index of the first chunk here, or the one to ask for next.
    pub from: i64,
    /// Chunks in order.
    pub chunks: Vec<Vec<u8>>,
    /// How many chunks the stream has.
    pub count: i64,
    /// Whether it is closed.
    pub closed: bool,
}

/// What a commit made visible, told to [`CommitListener`]s.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommitNews {
    /// A message may have become claimable.
    pub queue: bool,
    /// These streams have new chunks or were closed.
    pub streams: Vec<String>,
    /// These runs have ended.
    pub ended_runs: Vec<RunId>,
    /// Hooks with these tokens were made.
    pub hooks: Vec<HookToken>,
    /// Another process committed: anything may have changed.
    pub elsewhere: bool,
    /// Values were dropped. The store has to erase them from its files.
    pub dropped: bool,
}

impl CommitNews {
    /// Adds what another operation of the same commit makes visible.
    pub fn add(&mut self, other: Self) {
        let Self { queue, streams, ended_runs, hooks, elsewhere, dropped } = other;
        self.queue |= queue;
        self.streams.extend(streams);
        self.ended_runs.extend(ended_runs);
        self.hooks.extend(hooks);
        self.elsewhere |= elsewhere;
        self.dropped |= dropped;
    }
}

/// What was looked for, each with what there is or why it cannot be had: one that cannot be read
/// stands in the way of no other.
pub type Found<K, V> = Vec<(K, Result<V, WorldError>)>;

/// What became of a [`PlainResume`].
#[derive(Debug, Clone, PartialEq)]
pub enum ResumedPlainly {
    /// It was done, for this hook of this run.
    Done(Box<(HookView, Run)>),
    /// Nothing was done, and here it is again.
    Not(PlainResume),
}
