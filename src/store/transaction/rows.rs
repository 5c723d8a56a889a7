//! What a store does with rows, and nothing else: it loads and writes what it is told.

use crate::domain::event::Event;
use crate::domain::fence::Fence;
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, HookToken, LeaseToken, MessageId, RunId};
use crate::domain::message::NewMessage;
use crate::domain::page::Page;
use crate::domain::queue::Waiting;
use crate::domain::queue::forgotten::Prospects;
use crate::domain::queue::hold::Refused;
use crate::domain::queue::settle::{Back, Delivered};
use crate::domain::resume_key::KeyedResume;
use crate::domain::retention::Keeping;
use crate::domain::run::Run;
use crate::domain::step::Step;
use crate::domain::step_resume::Names;
use crate::domain::transition::{LogPart, Tail};
use crate::domain::wait::Wait;
use crate::error::WorldError;
use crate::store::{HookView, RunView, StepView};

/// A message with a lease, as its settlement needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedRow {
    /// What the rule reads.
    pub delivered: Delivered,
    /// Which handler gets it.
    pub queue_name: String,
    /// The run that it replays, if any.
    pub run_id: Option<RunId>,
    /// The worker that has the lease.
    pub lease_owner: String,
    /// The workers that have refused it.
    pub refused_by: Vec<String>,
}

/// A dead or held message, as putting it back needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedRow {
    /// When it was enqueued.
    pub created_at_ms: i64,
    /// Its idempotency key.
    pub idempotency_key: Option<String>,
}

/// Where and when a message is put into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// A number that nobody else has drawn; the store may take a higher one to keep the order.
    pub fresh_id: MessageId,
    /// The queue's time.
    pub created_at_ms: i64,
    /// The earliest time at which it is delivered.
    pub available_at_ms: i64,
}

/// The rows of one transaction. Every function is a load or a write of rows by key; the rules that
/// say which, and what for, are in [`crate::domain`].
///
/// A function fails with a storage fault only, for which all that its operation has written is
/// rolled back.
#[allow(missing_docs)] // the names and types say it; what they do not say is written
pub trait Rows {
    fn run(&self, run_id: &RunId) -> Result<Option<Run>, WorldError>;
    /// The last event of a run's log.
    fn tail(&self, run_id: &RunId) -> Result<Option<Tail>, WorldError>;
    fn step(&self, run_id: &RunId, step_id: &CorrelationId) -> Result<Option<Step>, WorldError>;
    /// A hook of the run, disposed or not.
    fn hook(&self, run_id: &RunId, hook_id: &CorrelationId) -> Result<Option<Hook>, WorldError>;
    /// The hook that holds this token; it may be over ([`Hook::is_over`]).
    fn live_hook(&self, token: &HookToken) -> Result<Option<Hook>, WorldError>;
    fn wait(&self, run_id: &RunId, wait_id: &CorrelationId) -> Result<Option<Wait>, WorldError>;
    /// The event of a resume, without its payload.
    fn resume(&self, run_id: &RunId, resume_id: &str) -> Result<Option<Event>, WorldError>;
    /// The event of a resume with one of these names, of any run, without its payload; after so many
    /// others, in the order of the names.
    fn step_resume(&self, names: &Names, after: u32) -> Result<Option<Event>, WorldError>;
    /// Whether the run has an `attr_set` with this name.
    fn has_set_attributes(&self, run_id: &RunId, id: &CorrelationId) -> Result<bool, WorldError>;
    /// The waits of a run that are not completed, in the order of its log.
    fn pending_waits(&self, run_id: &RunId) -> Result<Vec<Wait>, WorldError>;
    /// The event that made a hook, with its payload.
    fn hook_created(
        &self,
        run_id: &RunId,
        hook_id: &CorrelationId,
    ) -> Result<Option<Event>, WorldError>;

    /// The run with its payloads; the next three likewise.
    fn run_view(&self, run: Run) -> Result<RunView, WorldError>;
    fn step_view(&self, step: Step) -> Result<StepView, WorldError>;
    fn hook_view(&self, hook: Hook) -> Result<HookView, WorldError>;
    /// A part of a run's log with payloads; `None` for a whole log that is longer than a page.
    fn log_part(&self, run_id: &RunId, part: LogPart) -> Result<Option<Page<Event>>, WorldError>;

    fn insert_run(&self, run: &Run) -> Result<(), WorldError>;
    fn update_run(&self, run: &Run) -> Result<(), WorldError>;
    fn insert_event(&self, event: &Event, keeping: Keeping) -> Result<(), WorldError>;
    fn insert_step(&self, step: &Step) -> Result<(), WorldError>;
    fn update_step(&self, step: &Step) -> Result<(), WorldError>;
    fn insert_hook(&self, hook: &Hook) -> Result<(), WorldError>;
    /// The hook gives its token up.
    fn dispose_hook(
        &self,
        run_id: &RunId,
        hook_id: &CorrelationId,
        at_ms: i64,
    ) -> Result<(), WorldError>;
    /// The run ends. Deletes its hooks, except those that outlive it ([`Hook::outlive`]), and some hooks
    /// of any run that are over.
    fn end_hooks(&self, run_id: &RunId, now_ms: i64) -> Result<(), WorldError>;
    fn insert_wait(&self, wait: &Wait) -> Result<(), WorldError>;
    fn update_wait(&self, wait: &Wait) -> Result<(), WorldError>;
    fn delete_waits(&self, run_id: &RunId) -> Result<(), WorldError>;
    /// Drops the payloads of a run's events, the metadata of the hooks that outlive it, and the chunks of
    /// its streams. Closes the streams, and deletes the run's messages that nobody has the lease of.
    /// Returns the names of the streams.
    fn drop_values(&self, run_id: &RunId, now_ms: i64) -> Result<Vec<String>, WorldError>;

    fn keyed_resume(&self, key_digest: &str) -> Result<Option<KeyedResume>, WorldError>;
    /// Inserts it, or replaces one that has expired.
    fn put_keyed_resume(&self, key_digest: &str, resume: &KeyedResume) -> Result<(), WorldError>;
    /// Deletes at most `limit` of those that have expired.
    fn delete_expired_resumes(&self, now_ms: i64, limit: usize) -> Result<(), WorldError>;

    /// The message with this idempotency key that was not given up.
    fn message_with_key(&self, idempotency_key: &str) -> Result<Option<MessageId>, WorldError>;
    /// The waiting messages of a run in a queue, in any order.
    fn waiting(&self, run_id: &RunId, queue_name: &str) -> Result<Vec<Waiting>, WorldError>;
    /// Returns the id that it got.
    fn insert_message(&self, message: &NewMessage, at: Arrival) -> Result<MessageId, WorldError>;
    fn move_message(&self, id: MessageId, available_at_ms: i64) -> Result<(), WorldError>;
    /// Makes every replay of a run a wake-up with the body and the demand of this one, leased ones too.
    fn make_wake_ups(&self, run_id: &RunId, to: &NewMessage) -> Result<(), WorldError>;
    /// Whether the queue holds a replay of a run that nobody has the lease of.
    fn has_waiting_replay(&self, run_id: &RunId) -> Result<bool, WorldError>;
    /// Deletes the wake-ups of a run that nobody has the lease of, and its held messages.
    fn delete_wake_ups(&self, run_id: &RunId) -> Result<(), WorldError>;
    fn delete_message(&self, id: MessageId) -> Result<(), WorldError>;

    /// Whether the message still has this lease, or is a step's message that was given back and that
    /// nobody has been given since.
    fn lease_holds(&self, lease: &Fence) -> Result<bool, WorldError>;
    fn leased(
        &self,
        id: MessageId,
        lease_token: &LeaseToken,
    ) -> Result<Option<LeasedRow>, WorldError>;
    /// Deletes the message if it has this lease; whether it had.
    fn delete_leased(&self, id: MessageId, lease_token: &LeaseToken) -> Result<bool, WorldError>;
    /// Frees the lease of a message, which waits again.
    fn put_back(&self, id: MessageId, back: &Back) -> Result<(), WorldError>;
    /// Frees the lease of a message, which keeps its place in the queue.
    fn free_lease(&self, id: MessageId) -> Result<(), WorldError>;
    /// Changes how a waiting message waits; without an error it keeps the one that it has.
    fn change_waiting(&self, id: MessageId, back: &Back) -> Result<(), WorldError>;
    /// Frees the lease of a message and gives it up.
    fn bury(&self, id: MessageId, error: &str, now_ms: i64) -> Result<(), WorldError>;
    /// Keeps the queue's time, for processes to come.
    fn keep_time(&self, now_ms: i64) -> Result<(), WorldError>;
    /// Whether another worker than the one that has this lease has replayed the run.
    fn is_replayed_by_others(&self, run_id: &RunId, lease: &Fence) -> Result<bool, WorldError>;
    /// Frees the lease of a message that its worker has refused.
    fn refuse(&self, id: MessageId, refused: &Refused, back: &Back) -> Result<(), WorldError>;
    /// The messages that workers have refused and that wait for another worker, with those workers.
    fn passed_on(&self) -> Result<Vec<(MessageId, Vec<String>)>, WorldError>;
    /// Takes a waiting message out of the queue, because no worker has its code.
    fn hold(&self, id: MessageId, now_ms: i64) -> Result<(), WorldError>;
    /// Forgets every refusal, so that held messages wait again; returns how many messages had one.
    fn take_up_refused(&self) -> Result<usize, WorldError>;
    /// A dead or held message.
    fn stopped(&self, id: MessageId) -> Result<Option<StoppedRow>, WorldError>;
    /// A dead or held message waits again, with no attempts counted.
    fn revive(&self, id: MessageId, available_at_ms: i64) -> Result<(), WorldError>;
    /// Notes that a deployment id is a release.
    fn note_release(&self, release_id: &str, now_ms: i64) -> Result<(), WorldError>;
    /// Whether a deployment id is a release, and if so, whether it is gone.
    fn release_is_gone(&self, release_id: &str) -> Result<Option<bool>, WorldError>;
    fn mark_gone(&self, release_id: &str, now_ms: i64) -> Result<(), WorldError>;
    /// At most `limit` runs that a release continues.
    fn open_runs_of(&self, release_id: &str, limit: usize) -> Result<Vec<RunId>, WorldError>;
    /// Writes the release that continues a run.
    fn update_release(&self, run: &Run) -> Result<(), WorldError>;
    /// Gives the messages of a run to a release, and forgets who has refused them.
    fn move_messages(&self, run_id: &RunId, release_id: &str) -> Result<(), WorldError>;
    /// Runs that are not there, but have messages for a release that nobody has the lease of, each as
    /// often as it has messages. A part of a store reads at most `limit` of these.
    fn runs_to_create(&self, release_id: &str, limit: usize) -> Result<Vec<RunId>, WorldError>;
    /// Deletes the messages for a deployment id that nobody has the lease of.
    fn delete_messages_for(&self, deployment_id: &str) -> Result<(), WorldError>;
    fn prospects(&self, run_id: &RunId, now_ms: i64) -> Result<Option<Prospects>, WorldError>;
}
