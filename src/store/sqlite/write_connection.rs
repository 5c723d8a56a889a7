//! The write connection, which reads too while the writer has nothing to do.
//!
//! A commit of one connection empties the page cache of every other one, so a look-up that follows a
//! resume costs several times as much on a connection of its own. The writer's own cache stays.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use rusqlite::{Connection, ffi};

use super::turn::{self, MyTurn};
use crate::error::{ErrorKind, WorldError};
use crate::lock::{self, lock};

/// The connection, and how much its writer has to do.
pub(super) struct WriteConnection {
    connection: Mutex<Connection>,
    /// The database file as the guard has it open, to be synced and for the turn to write.
    database: Option<Arc<File>>,
    outstanding: AtomicUsize,
    ended_batches: AtomicUsize,
    version_is_asked: AtomicBool,
    /// What the writer has answered; [`UNANSWERED`] until then.
    answered_version: AtomicI64,
}

/// No version of a database.
const UNANSWERED: i64 = i64::MIN;

impl WriteConnection {
    pub(super) fn new(connection: Connection, database: Option<Arc<File>>) -> Self {
        Self {
            connection: Mutex::new(connection),
            database,
            outstanding: AtomicUsize::new(0),
            ended_batches: AtomicUsize::new(0),
            version_is_asked: AtomicBool::new(false),
            answered_version: AtomicI64::new(UNANSWERED),
        }
    }

    /// For the writer.
    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        lock(&self.connection)
    }

    /// Waits until the disk has what was written to the database file.
    ///
    /// # Errors
    /// `Io`, like a sync of SQLite's that fails.
    pub(super) fn sync_database(&self) -> Result<(), WorldError> {
        let Some(database) = &self.database else { return Ok(()) };
        database.sync_data().map_err(|error| {
            let message = format!("the disk failed to write the database file: {error}");
            WorldError::new(ErrorKind::Io, message).with("sqliteCode", ffi::SQLITE_IOERR_FSYNC)
        })
    }

    /// Waits for the turn to write, which this process has once, whichever of its threads has this
    /// connection locked.
    ///
    /// # Errors
    /// `Busy` when another process has had it for long.
    pub(super) fn wait_for_turn(&self) -> Result<MyTurn<'_>, WorldError> {
        turn::wait(self.database.as_deref())
    }

    /// Takes the turn to write, unless another process has it.
    pub(super) fn take_turn(&self) -> Option<MyTurn<'_>> {
        turn::take(self.database.as_deref())
    }

    /// The writer is given an operation.
    pub(super) fn expect_operation(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    /// The writer is done with operations.
    pub(super) fn end_operations(&self, count: usize) {
        self.outstanding.fetch_sub(count, Ordering::Relaxed);
        self.ended_batches.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the writer was done with some.
    pub(super) fn ended_batches(&self) -> usize {
        self.ended_batches.load(Ordering::Relaxed)
    }

    /// For a short read, if the writer has nothing to do. While there is a single operation under
    /// way, another may follow at once, and would have to wait.
    pub(super) fn lock_if_idle(&self) -> Option<MutexGuard<'_, Connection>> {
        if self.outstanding.load(Ordering::Relaxed) > 0 {
            return None;
        }
        lock::try_lock(&self.connection)
    }

    /// Changes when another connection has committed, never by this one's own commits. Read here
    /// while the writer has nothing to do; a busy one reads it for the next call, after its batch.
    pub(super) fn elsewhere_version(&self) -> Option<i64> {
        if let Some(connection) = self.lock_if_idle() {
            return commits_elsewhere(&connection);
        }
        self.version_is_asked.store(true, Ordering::Relaxed);
        let answer = self.answered_version.swap(UNANSWERED, Ordering::Relaxed);
        (answer != UNANSWERED).then_some(answer)
    }

    /// For the writer, after each batch.
    pub(super) fn answer_version(&self) {
        if !self.version_is_asked.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Some(version) = commits_elsewhere(&self.lock()) {
            self.answered_version.store(version, Ordering::Relaxed);
        }
    }
}

/// SQLite's count of the commits of other connections than this one; `None` when it cannot be read.
pub(super) fn commits_elsewhere(connection: &Connection) -> Option<i64> {
    let mut statement = connection.prepare_cached("PRAGMA data_version").ok()?;
    statement.query_row([], |row| row.get(0)).ok()
}
