//! The write connection, which reads too while the writer has nothing to do.
//!
//! A commit of one connection empties the page cache of every other one, so a look-up that follows a
//! resume costs several times as much on a connection of its own. The writer's own cache stays.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use rusqlite::Connection;

use crate::lock::{self, lock};

/// The connection, and how much its writer has to do.
pub(super) struct WriteConnection {
    connection: Mutex<Connection>,
    outstanding: AtomicUsize,
    ended_batches: AtomicUsize,
}

impl WriteConnection {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection: Mutex::new(connection),
            outstanding: AtomicUsize::new(0),
            ended_batches: AtomicUsize::new(0),
        }
    }

    /// For the writer.
    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        lock(&self.connection)
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
}
