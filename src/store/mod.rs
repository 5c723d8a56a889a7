//! What a World needs from its database: every durable operation, as one object-safe trait.
//!
//! A store executes; [`crate::domain::transition`] decides. A [`Completion`] instead of a future lets
//! the SQLite writer settle a JavaScript promise directly after its commit.

pub mod backlog;
mod columns;
pub mod completion;
pub mod fault_plan;
pub mod listeners;
pub mod location;
pub mod moving;
pub mod operation;
pub mod postgres;
pub mod queue_time;
pub mod read;
pub mod sealed;
pub mod sqlite;
pub mod transaction;
pub mod upkeep;

use std::sync::Weak;

pub use completion::Completion;
pub use listeners::CommitListener;
pub use read::Read;

pub use crate::domain::queue::settle::Outcome;

use crate::crypto::DeliverySecret;
#[cfg(doc)]
use crate::domain::queue::forgotten::is_forgotten;

use crate::domain::event::{Event, EventRequest};
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, HookToken, LeaseToken, MessageId, RunId};
use crate::domain::message::{Delivery, Lease, NewMessage};
use crate::domain::page::{Page, PageRequest};
use crate::domain::payload::Payload;
use crate::domain::queue::offer::{Demand, Offer};
use crate::domain::resume_key::{ResumeKey, hook_as_made};
use crate::domain::run::{Run, RunStatus};
use crate::domain::step::Step;
use crate::domain::wait::Wait;
use crate::error::{ErrorKind, WorldError};

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

/// Filters of the list of runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunQuery {
    /// Only runs of this workflow.
    pub workflow_name: Option<String>,
    /// Only runs in one of these statuses.
    pub statuses: Option<Vec<RunStatus>>,
    /// Which part.
    pub page: PageRequest,
    /// Whether payloads are wanted.
    pub resolve_data: bool,
}

/// Filters of the list of events: of one run, of one correlation id, or of both.
#[derive(Debug, Clone, PartialEq)]
pub struct EventQuery {
    /// Only events of this run.
    pub run_id: Option<RunId>,
    /// Only events with this correlation id.
    pub correlation_id: Option<CorrelationId>,
    /// Which part.
    pub page: PageRequest,
    /// Whether payloads are wanted.
    pub resolve_data: bool,
}

/// What a worker asks of the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimRequest {
    /// At most this many messages.
    pub limit: usize,
    /// Only messages that this covers.
    pub offer: Offer,
    /// Who claims.
    pub lease_owner: String,
    /// How long the lease holds unless it is extended.
    pub lease_ms: i64,
}

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

/// A place in the list of active runs, by which a search for forgotten ones goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivePlace {
    /// The status of the last run that was looked at.
    pub status: RunStatus,
    /// Its workflow.
    pub workflow_name: String,
    /// That run.
    pub run_id: RunId,
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

/// Which part of a stream is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamRead {
    /// The stream.
    pub name: String,
    /// The index of the first chunk; a negative one counts from the end.
    pub from: i64,
    /// At most this many chunks.
    pub limit: usize,
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

/// A payload of plain data for the hook with a token. The SDK serialises such a payload in the same way for
/// every hook that [takes](crate::domain::hook::takes_plain_payload) it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainResume {
    /// The token.
    pub token: HookToken,
    /// The payload, serialised.
    pub payload: Vec<u8>,
}

/// Every durable operation. Methods with a [`Completion`] return at once; those with a [`Read`] look
/// rows up by key.
pub trait Store: Send + Sync + 'static {
    /// Appends one event with all its effects, in one transaction.
    fn append_event(&self, request: EventRequest, done: Completion<EventReply>);

    /// Appends events of a run in one transaction, each with the outcome that it would have alone; see
    /// [`batch`](crate::domain::transition::batch). Settles with `Invalid` for a batch that cannot be,
    /// and with what ends the delivery that asks.
    fn append_events(&self, requests: Vec<EventRequest>, done: Completion<Vec<Appended>>);

    /// Appends a `hook_received` unless an earlier one had this key, and remembers the key; one
    /// transaction. Settles with whether there was an earlier one.
    fn resume_once(&self, request: EventRequest, key: ResumeKey, done: Completion<bool>);
    /// Whether a look-up is a round trip to another process, so that
    /// [`resume_plainly`](Self::resume_plainly) is worth a try.
    fn looks_up_remotely(&self) -> bool {
        false
    }
    /// Finds the live hook with a token and resumes it, if the store does both in one step here, and the
    /// hook takes plain data. Settles with the hook and its run; with `None` nothing was done.
    fn resume_plainly(&self, _: PlainResume, done: Completion<Option<(HookView, Run)>>) {
        done.settle(Ok(None));
    }
    /// The hook that an earlier resume with this key found, as it was made, with its metadata.
    /// `IdempotencyConflict` when the key was used for another payload.
    fn earlier_resume(&self, key: &ResumeKey) -> Read<Option<HookView>>;
    /// The hook with this token that a step has resumed from this place
    /// ([`StepResume`](crate::domain::step_resume::StepResume)), as it was made, with its metadata.
    /// `None` once the present attempt has repeated as many resumes from there as there were.
    fn hook_of_step(&self, place: &str, repeated: u32, token: &HookToken)
    -> Read<Option<HookView>>;

    /// The live hook with this token, with its metadata. `HookNotFound` names the token.
    fn hook_by_token(&self, token: &HookToken) -> Read<HookView>;
    /// The live hook with this token and its run, for a resume. `HookNotFound` names the token;
    /// `RunNotFound`.
    fn hook_and_run_by_token(&self, token: &HookToken) -> Read<(HookView, Run)>;
    /// A run without its payloads. `RunNotFound`.
    fn run_by_id(&self, run_id: &RunId) -> Read<Run>;

    /// A run.
    fn run(&self, run_id: RunId, resolve_data: bool, done: Completion<RunView>);
    /// Of these runs, those that have ended, with their payloads, and those that do not exist, with
    /// `RunNotFound`.
    fn run_ends(&self, run_ids: Vec<RunId>, done: Completion<Found<RunId, RunView>>);
    /// Runs by id, which is by time of creation.
    fn runs(&self, query: RunQuery, done: Completion<Page<RunView>>);
    /// A step, in the run if one is named.
    fn step(
        &self,
        run_id: Option<RunId>,
        step_id: CorrelationId,
        resolve_data: bool,
        done: Completion<StepView>,
    );
    /// The steps of a run in the order of their creation.
    fn steps(
        &self,
        run_id: RunId,
        page: PageRequest,
        resolve_data: bool,
        done: Completion<Page<StepView>>,
    );
    /// An event by its public id.
    fn event(&self, run_id: RunId, event_id: String, resolve_data: bool, done: Completion<Event>);
    /// Events in the order of their log.
    fn events(&self, query: EventQuery, done: Completion<Page<Event>>);
    /// A live hook by its id.
    fn hook(&self, hook_id: CorrelationId, resolve_data: bool, done: Completion<HookView>);
    /// Live hooks, of one run or of all, in the order of their creation.
    fn hooks(
        &self,
        run_id: Option<RunId>,
        page: PageRequest,
        resolve_data: bool,
        done: Completion<Page<HookView>>,
    );

    /// Of these tokens, those that a live hook has, each with its hook and its metadata.
    fn live_hooks(&self, tokens: Vec<HookToken>, done: Completion<Found<HookToken, HookView>>);
    /// Completes a run's pending waits, all or those named, and wakes the run if there were any; one
    /// transaction. Settles with how many.
    fn complete_waits(
        &self,
        run_id: RunId,
        only: Option<Vec<CorrelationId>>,
        done: Completion<usize>,
    );

    /// Puts a message into the queue; `delay_ms` counts from now. Settles with the id of the message
    /// that will be delivered, which may be an older one.
    fn enqueue(&self, message: NewMessage, delay_ms: i64, done: Completion<MessageId>);
    /// Puts messages, each with its delay in milliseconds, into the queue, in one transaction. Settles
    /// with the outcome of each: one whose release is gone is refused, and the others are enqueued.
    fn enqueue_all(&self, messages: Vec<(NewMessage, i64)>, done: Completion<Vec<Enqueued>>);
    /// Leases due messages.
    fn claim(&self, request: ClaimRequest, done: Completion<Claimed>);
    /// Prolongs leases; settles with the messages whose lease is lost.
    fn extend(
        &self,
        leases: Vec<(MessageId, LeaseToken)>,
        lease_ms: i64,
        done: Completion<Vec<MessageId>>,
    );
    /// Ends a delivery; settles with whether the lease still held, else nothing changed.
    fn settle_delivery(
        &self,
        message_id: MessageId,
        lease_token: LeaseToken,
        outcome: Outcome,
        done: Completion<bool>,
    );
    /// Frees the leases of owners that are no longer alive; settles with how many. A message whose
    /// deliveries go on ending so waits; see [`crate::domain::queue::back_off::after_death_ms`].
    fn free_dead_leases(&self, done: Completion<usize>);
    /// Wakes runs that have something to do and no message that would make them do it: one that was
    /// created and never enqueued, one whose wait is over, one whose log has an event that its last
    /// replay may not have seen; see [`is_forgotten`]. Looks at no more than `limit` active runs behind
    /// `after`. A run that waits for what has not come is left alone, and so is one whose
    /// message was given up.
    fn wake_forgotten(&self, after: Option<ActivePlace>, limit: usize, done: Completion<Woken>);
    /// How much there is to do. `living` is what the living processes offer to take, whatever their
    /// queues; what they do not cover is parked. If it is empty, nothing is known of them, and nothing
    /// is parked.
    fn queue_depth(&self, living: Vec<Offer>, done: Completion<QueueDepth>);
    /// Messages that were given up, or that are held, in the order in which they were enqueued.
    fn stopped_messages(
        &self,
        stopped: Stopped,
        page: PageRequest,
        done: Completion<Page<StoppedMessage>>,
    );
    /// Forgets which workers have refused messages, because a worker has new code: held messages are due
    /// again. Settles with how many there were.
    fn take_up_refused(&self, done: Completion<usize>);
    /// Puts a message that was given up, or is held, back into the queue, due now and with its attempts counted
    /// anew. Settles with the message that will be delivered: another one with the same idempotency
    /// key may be there by now, and then the dead one goes. `NotFound` when no such message is dead or held.
    fn redrive(&self, message_id: MessageId, done: Completion<MessageId>);
    /// The lease that a message has, until it expires.
    ///
    /// # Errors
    /// Storage faults only.
    fn lease(&self, message_id: MessageId) -> Result<Option<Lease>, WorldError>;
    /// Lets the delivery of a lease run, once: for deliveries that may come more than once.
    fn admit(&self, message_id: MessageId, lease_token: LeaseToken, done: Completion<Admission>);
    /// What proves that a process has this database.
    ///
    /// # Errors
    /// Storage faults only.
    fn delivery_secret(&self) -> Result<DeliverySecret, WorldError>;

    /// Appends chunks to a stream; a closed stream ignores them. `RunExpired` for a new stream of a run
    /// whose values were dropped.
    fn write_stream(&self, name: String, run_id: RunId, chunks: Vec<Vec<u8>>, done: Completion<()>);
    /// Closes a stream. `RunExpired` as above.
    fn close_stream(&self, name: String, run_id: RunId, done: Completion<()>);
    /// What each of these reads finds now, in one read of the database.
    fn stream_slices(
        &self,
        reads: Vec<StreamRead>,
        done: Completion<Found<StreamRead, StreamSlice>>,
    );
    /// Chunks from an index on (negative: from the end), at most `limit`.
    fn stream_slice(&self, name: String, from: i64, limit: usize, done: Completion<StreamSlice>) {
        let only = |found: Found<StreamRead, StreamSlice>| match found.into_iter().next() {
            Some((_, slice)) => slice,
            None => Ok(StreamSlice::default()),
        };
        let done = move |found: Result<_, WorldError>| done.settle(found.and_then(only));
        self.stream_slices(vec![StreamRead { name, from, limit }], Completion::new(done));
    }
    /// The names of a run's streams in the order of their creation.
    fn streams_of_run(&self, run_id: RunId, done: Completion<Vec<String>>);

    /// The name under which this process holds leases.
    fn lease_owner(&self) -> &str;
    /// Shows other processes what this one says of its delivering, which they find with
    /// [`Upkeep::workers`](upkeep::Upkeep::workers) for as long as it lives; `false` when it cannot be
    /// shown. A few bytes, written at once.
    fn show_worker(&self, report: &str) -> bool;
    /// Whether this worker could not get a session with its server, though it should have one. Then it
    /// hears of other processes late, and they of its death.
    fn lacks_session(&self) -> bool;
    /// Adds a listener, which is told for as long as the caller holds it.
    fn on_commit(&self, listener: Weak<dyn CommitListener>);
    /// Asks to be told of commits of other processes, or no longer; calls are counted.
    fn watch_elsewhere(&self, watch: bool);
    /// Finishes what was accepted and lets go of the database. Idempotent; blocks.
    fn close(&self);
}

/// The refusal of a queue's namespace that differs from the database's.
fn other_queue_names(ours: &str, kept: &str) -> WorldError {
    WorldError::new(
        ErrorKind::BadConfig,
        format!(
            "WORKFLOW_QUEUE_NAMESPACE gives queue names that begin with \"{ours}\", but those of the \
             database begin with \"{kept}\": set it to the value that the app has"
        ),
    )
}

/// The refusal of every write by a store that only reads.
fn only_reads() -> WorldError {
    WorldError::new(
        ErrorKind::ReadOnly,
        "this World only reads (WORKFLOW_HOOKLINE_ROLE is reader); write through a World with another \
         role",
    )
}
