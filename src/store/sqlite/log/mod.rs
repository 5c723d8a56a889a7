//! The write-ahead log: kept sound if the disk fails, and kept short under traffic.
//!
//! SQLite would checkpoint the log inside a commit, which delays that commit, and would ignore a failed
//! sync there. So Hookline makes its own checkpoints ([`checkpoints`]) and repairs the log after a
//! failed sync ([`mending`]).

mod bound;
mod checkpoints;
mod format;
mod free_pages;
mod holders;
mod mending;
mod shrinking;

use std::path::{Path, PathBuf};

use rusqlite::Connection;

pub(super) use bound::Bound;
pub(super) use checkpoints::{Log, count_frames};
pub(super) use holders::state;
pub(super) use mending::{is_marked_doubtful, mend};

use super::resolve::beside;
use crate::error::{ErrorKind, WorldError};

/// The longest log: some minutes of full load beside a reader that does not end.
pub const LOG_BYTES_MAX: i64 = 2 * 1024 * 1024 * 1024;
/// A page and its header in the log.
const FRAME_BYTES: i64 = 4096 + 24;

/// The path of a database's log.
pub(super) fn log_path(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

/// Waits until the disk has the log as it is, also its length. SQLite has no lock on the log, so closing it
/// releases none.
fn sync_log(database: &Path) -> std::io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(log_path(database))?.sync_all()
}

/// Whether a database has a log that is not empty.
pub(super) fn is_filled(database: &Path) -> bool {
    std::fs::metadata(log_path(database)).is_ok_and(|log| log.len() > 0)
}

/// The contents of the log.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Filled {
    /// Committed frames.
    frames: i64,
    /// The number of committed frames, from the first, that are also in the database file.
    backfilled: i64,
    /// Whether somebody kept the checkpoint from finishing.
    is_busy: bool,
}

impl Filled {
    /// The current state. Changes nothing.
    fn of(connection: &Connection) -> Result<Self, WorldError> {
        let filled = Self::after(connection, "NOOP")?;
        if filled.is_busy || filled.frames < 0 {
            let message =
                "the index of the write-ahead log cannot be read at this moment; try again";
            return Err(WorldError::new(ErrorKind::Busy, message));
        }
        Ok(filled)
    }

    /// The state after a checkpoint of this mode.
    fn after(connection: &Connection, mode: &str) -> Result<Self, WorldError> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let mut statement = connection.prepare_cached(&sql)?;
        Ok(statement.query_row([], |row| {
            Ok(Self { is_busy: row.get(0)?, frames: row.get(1)?, backfilled: row.get(2)? })
        })?)
    }

    fn is_backfilled(&self) -> bool {
        !self.is_busy && self.backfilled == self.frames
    }
}
