//! The write connection, which also reads while the writer is idle.
//!
//! A commit of one connection empties the page caches of all others. So a look-up after a resume costs
//! several times as much on its own connection. The writer's own cache stays.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use rusqlite::{Connection, ffi};

use super::turn::{self, MyTurn};
use crate::error::{ErrorKind, WorldError};
use crate::lock::{self, lock};

/// The connection, and the number of its writer's pending operations.
pub(super) struct WriteConnection {
    connection: Mutex<Connection>,
    /// The database file that the guard has open. It is used for syncs and for the turn to write.
    database: Option<Arc<File>>,
    outstanding: AtomicUsize,
    ended_batches: AtomicUsize,
    version_is_asked: AtomicBool,
    /// The writer's last answer; [`UNANSWERED`] before the first.
    answered_version: AtomicI64,
}

/// Never a version of a database.
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

    /// Locks the connection for the writer.
    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        lock(&self.connection)
    }

    /// Syncs the database file: waits until the disk has its contents.
    ///
    /// # Errors
    /// `Io`, as after a failed sync of SQLite.
    pub(super) fn sync_database(&self) -> Result<(), WorldError> {
        let Some(database) = &self.database else { return Ok(()) };
        database.sync_data().map_err(|error| {
            let message = format!("the disk failed to write the database file: {error}");
            WorldError::new(ErrorKind::Io, message).with("sqliteCode", ffi::SQLITE_IOERR_FSYNC)
        })
    }

    /// Waits for the turn to write. The process has it once, for the thread that has locked this
    /// connection.
    ///
    /// # Errors
    /// `Busy` if another process has had the turn for long.
    pub(super) fn wait_for_turn(&self) -> Result<MyTurn<'_>, WorldError> {
        turn::wait(self.database.as_deref())
    }

    /// Takes the turn to write, unless another process has it.
    pub(super) fn take_turn(&self) -> Option<MyTurn<'_>> {
        turn::take(self.database.as_deref())
    }

    /// Notes that the writer was given an operation.
    pub(super) fn expect_operation(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the writer has finished operations.
    pub(super) fn end_operations(&self, count: usize) {
        self.outstanding.fetch_sub(count, Ordering::Relaxed);
        self.ended_batches.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of batches that the writer has finished.
    pub(super) fn ended_batches(&self) -> usize {
        self.ended_batches.load(Ordering::Relaxed)
    }

    /// Locks the connection for a short read, if the writer is idle. It is not idle during a single
    /// operation: another one may follow at once and would have to wait.
    pub(super) fn lock_if_idle(&self) -> Option<MutexGuard<'_, Connection>> {
        if self.outstanding.load(Ordering::Relaxed) > 0 {
            return None;
        }
        lock::try_lock(&self.connection)
    }

    /// Changes when another connection has committed, and never after this one's own commits. It is
    /// read here while the writer is idle. A busy writer reads it after its batch, for the next call.
    pub(super) fn elsewhere_version(&self) -> Option<i64> {
        if let Some(connection) = self.lock_if_idle() {
            return commits_elsewhere(&connection);
        }
        self.version_is_asked.store(true, Ordering::Relaxed);
        let answer = self.answered_version.swap(UNANSWERED, Ordering::Relaxed);
        (answer != UNANSWERED).then_some(answer)
    }

    /// The writer calls this after each batch.
    pub(super) fn answer_version(&self) {
        if !self.version_is_asked.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Some(version) = commits_elsewhere(&self.lock()) {
            self.answered_version.store(version, Ordering::Relaxed);
        }
    }
}

/// SQLite's count of the commits of other connections; `None` if it cannot be read.
pub(super) fn commits_elsewhere(connection: &Connection) -> Option<i64> {
    let mut statement = connection.prepare_cached("PRAGMA data_version").ok()?;
    statement.query_row([], |row| row.get(0)).ok()
}
