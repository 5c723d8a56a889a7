//! Operations for the person who runs a World: the outlook of a run, the soundness of the file, a
//! backup, the import of another World's runs. No workflow needs them.

use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::id::{CorrelationId, MessageId, RunId};
use crate::domain::queue::offer::Demand;
use crate::domain::transition::replay::{PastEvent, Unreplayable};
use crate::domain::wait::Wait;
use crate::error::WorldError;
use crate::store::Completion;
use crate::store::operation::Operation;

/// A message in the queue, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// Its id.
    pub message_id: MessageId,
    /// The queue, which selects the handler.
    pub queue_name: String,
    /// The step that it executes, if any.
    pub step_id: Option<CorrelationId>,
    /// The key with which it was enqueued.
    pub idempotency_key: Option<String>,
    /// The number of its deliveries.
    pub attempt: i64,
    /// The time at which it was enqueued.
    pub created_at_ms: i64,
    /// The earliest time of its delivery.
    pub available_at_ms: i64,
    /// The end of its lease; `None` if it is not leased.
    pub lease_expires_at_ms: Option<i64>,
    /// The error of the last delivery, if it failed.
    pub last_error: Option<String>,
    /// The time at which it became dead.
    pub dead_at_ms: Option<i64>,
    /// The time since when it is [held](crate::domain::queue::hold).
    pub held_at_ms: Option<i64>,
}

/// The waits and messages that may still wake a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// What the run needs of the process that continues it; `None` if it does not exist.
    pub demand: Option<Demand>,
    /// Pending waits, the next first.
    pub waits: Vec<Wait>,
    /// The messages of the run and of its steps, the next first.
    pub messages: Vec<QueuedMessage>,
}

/// The state of a database, in the words of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Examination {
    /// A SQLite file.
    Sqlite(FileExamination),
    /// A schema of a Postgres server.
    Postgres(Box<ServerExamination>),
}

impl Examination {
    /// The damages that were found. A Postgres server looks for its own.
    pub fn damages(&self) -> &[String] {
        match self {
            Self::Sqlite(found) => &found.damages,
            Self::Postgres(_) => &[],
        }
    }
}

/// The state of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileExamination {
    /// The version of this process's SQLite library.
    pub sqlite_version: String,
    /// The number of migrations that have run on the file.
    pub schema_version: i64,
    /// `wal` for a file.
    pub journal_mode: String,
    /// Bytes of the database, without its log.
    pub bytes: i64,
    /// Bytes of it that are free.
    pub free_bytes: i64,
    /// The damages that were found; empty if it is sound.
    pub damages: Vec<String>,
}

/// The state of a schema, of its server, and of the way to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerExamination {
    /// The version of the server.
    pub version: String,
    /// The name of the schema.
    pub schema: String,
    /// The number of migrations that have run on the schema.
    pub schema_version: i64,
    /// Bytes of its tables and indexes.
    pub bytes: i64,
    /// Whether the server follows another one, and so only reads.
    pub is_standby: bool,
    /// Whether transactions only read unless they say otherwise.
    pub only_reads: bool,
    /// The version of TLS; `None` without.
    pub tls: Option<String>,
    /// The role of this process.
    pub role: String,
    /// The rights on our tables that the role lacks.
    pub missing_rights: Vec<String>,
    /// The shortest of some round trips, in microseconds.
    pub round_trip_us: i64,
    /// By how many milliseconds the server's clock is ahead of this host's.
    pub clock_ahead_ms: i64,
    /// Whether this way leads to the server itself, and to no pooler.
    pub is_direct: bool,
    /// `fsync`.
    pub syncs_to_disk: bool,
    /// `synchronous_commit`.
    pub synchronous_commit: String,
    /// The connections of all clients of the server.
    pub connections: i64,
    /// How many it takes.
    pub connections_max: i64,
    /// Whoever keeps dead rows from being removed.
    pub old_snapshots: Vec<OldSnapshot>,
    /// The table of messages.
    pub queue: QueueTable,
    /// The workers that are alive.
    pub living_workers: i64,
    /// Those, and the ones that have died without a word.
    pub known_workers: i64,
}

/// A session, a prepared transaction or a replication slot that keeps dead rows from being removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldSnapshot {
    /// For people.
    pub what: String,
    /// Since when, in milliseconds; `None` if the server does not say it.
    pub age_ms: Option<i64>,
}

/// The table of messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueTable {
    /// Bytes, with its indexes.
    pub bytes: i64,
    /// Its rows, as far as the server has counted.
    pub live_rows: i64,
    /// Rows that are to be removed.
    pub dead_rows: i64,
    /// When it was cleaned; `None` if never.
    pub vacuumed_ms_ago: Option<i64>,
}

/// A process that delivers or could deliver: it has claimed, and is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The name under which it holds leases.
    pub lease_owner: String,
    /// Its last report; see [`Store::show_worker`](crate::store::Store::show_worker). `None` if it
    /// cannot be read.
    pub report: Option<String>,
}

/// A deployment id that is a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRelease {
    /// The id.
    pub release_id: String,
    /// When a process had it for the first time, or started a run for it.
    pub first_seen_ms: i64,
    /// Since when it is gone, as a person has said; `None` while it is not.
    pub gone_at_ms: Option<i64>,
}

/// Runs that have not ended, of one workflow, that need the same of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRuns {
    /// What they need.
    pub demand: Demand,
    /// Their workflow.
    pub workflow_name: String,
    /// How many; a store may stop counting at a large number.
    pub count: i64,
    /// The one with the least id, which is the oldest.
    pub first: RunId,
}

/// Messages that need the same of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueuedFor {
    /// What they need.
    pub demand: Demand,
    /// How many could be delivered now, by a process that has what they need.
    pub due: i64,
    /// How many become due later.
    pub sleeping: i64,
    /// How many are being delivered.
    pub leased: i64,
    /// How many runs have a message that is due or is being delivered. The other open runs are parked.
    pub runs: i64,
}

/// What needs which release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Releases {
    /// In the order in which they were first seen.
    pub known: Vec<KnownRelease>,
    /// By what they need, and by workflow.
    pub open_runs: Vec<OpenRuns>,
    /// By what they need.
    pub queued: Vec<QueuedFor>,
}

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Bytes of the file.
    pub bytes: i64,
    /// Runs in it.
    pub runs: i64,
    /// Events in it.
    pub events: i64,
}

/// The operations. Each returns at once.
pub trait Upkeep: Send + Sync + 'static {
    /// The waits and messages that may still wake a run. Empty for a run that does not exist.
    fn outlook(&self, run_id: RunId, done: Completion<Outlook>);
    /// Examines the whole database.
    fn examine(&self, done: Completion<Examination>);
    /// The living workers of this database on this host; `Io` and `ReadOnly` if this user cannot look.
    fn workers(&self, done: Completion<Vec<Worker>>);
    /// Copies the current database into a new file that only its owner can read, while the database is
    /// in use. Settles after the copy has been checked and is on disk, or with `Invalid` if the file
    /// already exists.
    fn back_up(&self, to: PathBuf, done: Completion<Backup>);
    /// Adds the run of another World from its whole log, with a wake-up unless it has ended. Settles
    /// with `Invalid` for a log that no World can have written, and with `EntityConflict` if the run
    /// already exists here or a live hook here has one of its tokens.
    fn import_run(&self, run_id: RunId, log: Vec<PastEvent>, done: Completion<()>);
    /// The releases, and what needs them.
    fn releases(&self, done: Completion<Releases>);
    /// Gives all open runs of a deployment id to another release, some hundred in a transaction; the
    /// code of that release must fit them. Runs that are still to be created, by a message that starts
    /// them, count too. Settles with how many. `NotFound` if no process has had the
    /// other release, `ReleaseGone` if it is gone.
    fn adopt(&self, from: String, to: String, done: Completion<usize>);
    /// Notes that a release will never be back: from now on whatever is sent to it is refused with
    /// `ReleaseGone`. Its runs stay. A process that has the release takes this back. `NotFound` if no
    /// process has had it.
    fn release_gone(&self, release_id: String, done: Completion<()>);
    /// Cancels all open runs of a deployment id, some hundred in a transaction, and deletes the messages
    /// for it. Settles with how many runs.
    fn cancel_release(&self, deployment_id: String, done: Completion<usize>);
}

/// The error of an import whose log no World can have written.
pub fn refused(run_id: &RunId, unreplayable: Unreplayable) -> WorldError {
    let Unreplayable { place, event_type, refusal } = unreplayable;
    let reason = refusal.map_or("it changes nothing".into(), |refusal| refusal.to_string());
    WorldError::invalid(format!(
        "event {place} of run \"{run_id}\", a {event_type}, cannot follow the events before it: {reason}"
    ))
}

/// Hands an operation to the writer of a store.
pub type Submit = Arc<dyn Fn(Operation) + Send + Sync>;

/// Makes the operation that does the next part.
pub type NextPart = Arc<dyn Fn(Completion<usize>) -> Operation + Send + Sync>;

/// Does part after part until there is nothing more to do, so that others get their turn between them.
/// Settles with the sum.
pub fn in_parts(submit: Submit, next: NextPart, so_far: usize, done: Completion<usize>) {
    let (again, after) = (Arc::clone(&submit), Arc::clone(&next));
    let part = Completion::new(move |outcome: Result<usize, WorldError>| match outcome {
        Ok(0) => done.settle(Ok(so_far)),
        Ok(count) => in_parts(again, after, so_far + count, done),
        Err(error) => done.settle(Err(error)),
    });
    submit(next(part));
}

/// The methods of [`Upkeep`] that only hand operations to the store's `writer`, as `submitted_operations`.
macro_rules! submitted_upkeep {
    () => {
        fn import_run(&self, run_id: RunId, log: Vec<PastEvent>, done: Completion<()>) {
            match $crate::domain::transition::replay::replay(
                &run_id,
                log,
                self.environment.as_deref(),
            ) {
                Ok(run) => self.writer.submit(Operation::ImportRun(Box::new(run), done)),
                Err(unreplayable) => {
                    done.settle(Err($crate::store::upkeep::refused(&run_id, unreplayable)))
                }
            }
        }

        fn adopt(&self, from: String, to: String, done: Completion<usize>) {
            let next = move |done| Operation::Adopt(from.clone(), to.clone(), done);
            let writer = Arc::clone(&self.writer);
            let submit = Arc::new(move |operation| writer.submit(operation));
            $crate::store::upkeep::in_parts(submit, Arc::new(next), 0, done);
        }

        fn release_gone(&self, release_id: String, done: Completion<()>) {
            self.writer.submit(Operation::ReleaseGone(release_id, done));
        }

        fn cancel_release(&self, deployment_id: String, done: Completion<usize>) {
            let next = move |done| Operation::CancelRelease(deployment_id.clone(), done);
            let writer = Arc::clone(&self.writer);
            let submit = Arc::new(move |operation| writer.submit(operation));
            $crate::store::upkeep::in_parts(submit, Arc::new(next), 0, done);
        }
    };
}
pub(crate) use submitted_upkeep;
