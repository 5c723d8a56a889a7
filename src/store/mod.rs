//! What a World needs from its database: every durable operation, as one object-safe trait.
//!
//! A store executes; [`crate::domain::transition`] decides. A [`Completion`] instead of a future lets
//! the SQLite writer settle a JavaScript promise directly after its commit.

mod answers;
pub mod backlog;
mod columns;
pub mod completion;
mod executed;
pub mod fault_plan;
pub mod listeners;
pub mod location;
pub mod moving;
pub mod operation;
pub mod postgres;
mod questions;
pub mod queue_time;
pub mod read;
pub mod sealed;
pub mod sqlite;
pub mod transaction;
pub mod upkeep;

use std::sync::Weak;

pub use answers::*;
pub use completion::Completion;
pub use listeners::CommitListener;
pub use questions::*;
pub use read::Read;

pub use crate::domain::queue::settle::Outcome;

use crate::crypto::DeliverySecret;
#[cfg(doc)]
use crate::domain::queue::forgotten::is_forgotten;

use crate::domain::event::{Event, EventRequest};
use crate::domain::id::{CorrelationId, HookToken, LeaseToken, MessageId, RunId};
use crate::domain::message::{Lease, NewMessage};
use crate::domain::page::{Page, PageRequest};
use crate::domain::queue::offer::Offer;
use crate::domain::resume_key::ResumeKey;
use crate::domain::run::Run;
use crate::error::{ErrorKind, WorldError};

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
    /// hook takes plain data.
    fn resume_plainly(&self, resume: PlainResume, done: Completion<ResumedPlainly>) {
        done.settle(Ok(ResumedPlainly::Not(resume)));
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
