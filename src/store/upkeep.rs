//! What the person who runs a World asks of its database: what a run waits for, whether the file is
//! sound, a backup, the runs of another World. Nothing here is on the path of a workflow.

use std::path::PathBuf;

use crate::domain::id::{MessageId, RunId};
use crate::domain::transition::replay::PastEvent;
use crate::domain::wait::Wait;
use crate::store::Completion;

/// A message in the queue, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// Its id.
    pub message_id: MessageId,
    /// Which handler gets it.
    pub queue_name: String,
    /// The step that it executes, or whatever else it was enqueued under.
    pub idempotency_key: Option<String>,
    /// How often it was delivered.
    pub attempt: i64,
    /// When it was enqueued.
    pub created_at_ms: i64,
    /// The earliest time at which it is delivered.
    pub available_at_ms: i64,
    /// Until when somebody holds it; `None` when nobody does.
    pub lease_expires_at_ms: Option<i64>,
    /// What the last delivery came to, if it failed.
    pub last_error: Option<String>,
    /// When it was given up.
    pub dead_at_ms: Option<i64>,
}

/// What a run may still be woken by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Waits that are not over, the next first.
    pub waits: Vec<Wait>,
    /// Its messages, those of its steps too, the next first.
    pub messages: Vec<QueuedMessage>,
}

/// How a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// The SQLite library of this process.
    pub sqlite_version: String,
    /// Migrations that the file has seen.
    pub schema_version: i64,
    /// `wal` for a file.
    pub journal_mode: String,
    /// Bytes of the database, without its log.
    pub bytes: i64,
    /// Bytes of it that hold nothing.
    pub free_bytes: i64,
    /// What SQLite finds wrong with it; empty when it is sound.
    pub damages: Vec<String>,
}

/// A process that delivers, or could: one that has claimed and lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The name under which it holds leases.
    pub lease_owner: String,
    /// What it has shown; see [`Store::show_worker`](crate::store::Store::show_worker). `None` when
    /// that cannot be read.
    pub report: Option<String>,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Bytes of the file.
    pub bytes: i64,
    /// Runs in it.
    pub runs: i64,
    /// Events in it.
    pub events: i64,
}

/// The operations; each returns at once.
pub trait Upkeep: Send + Sync + 'static {
    /// What a run may still be woken by; empty for a run that does not exist.
    fn outlook(&self, run_id: RunId, done: Completion<Outlook>);
    /// Looks the database over. Reads all of it.
    fn examine(&self, done: Completion<Examination>);
    /// The workers of this database that live on this host; `Io` and `ReadOnly` when this user cannot
    /// look.
    fn workers(&self, done: Completion<Vec<Worker>>);
    /// Copies the database, as it is now, into a new file that only its owner can read, while it is
    /// being used. Settles when the copy has been checked and is on disk, with `Invalid` when there
    /// is such a file already.
    fn back_up(&self, to: PathBuf, done: Completion<Backup>);
    /// Adds the run of another World by its whole log, with a wake-up unless it has ended. Settles
    /// with `Invalid` for a log that no World can have written, with `EntityConflict` when the run is
    /// here already, or a live hook here has the token of one of its.
    fn import_run(&self, run_id: RunId, log: Vec<PastEvent>, done: Completion<()>);
}
