//! The write-ahead log: kept sound when the disk fails, and short beside the traffic.
//!
//! SQLite would check-point it inside a commit, for as long as that takes, and would swallow a sync
//! that fails there. So the checkpoints are ours ([`checkpoints`]), and so is what follows a failed
//! sync ([`mending`]).

mod checkpoints;
mod format;
mod free_pages;
mod holders;
mod mending;
mod shrinking;

use std::path::{Path, PathBuf};

use rusqlite::Connection;

pub(super) use checkpoints::{Bound, Log, count_frames};
pub(super) use holders::state;
pub(super) use mending::{is_marked_doubtful, mend};

use super::resolve::beside;
use crate::error::{ErrorKind, WorldError};

/// As long as a log may become: some minutes of full load beside a reader that does not end.
pub const LOG_BYTES_MAX: i64 = 2 * 1024 * 1024 * 1024;
/// A page and what stands before it in the log.
const FRAME_BYTES: i64 = 4096 + 24;

/// The file of a database's log.
pub(super) fn log_path(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

/// Whether a database has a log with something in it.
pub(super) fn is_filled(database: &Path) -> bool {
    std::fs::metadata(log_path(database)).is_ok_and(|log| log.len() > 0)
}

/// How much is in the log.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Filled {
    /// Committed frames.
    frames: i64,
    /// So many of them, from the first, are in the database file too.
    backfilled: i64,
    /// Whether somebody kept the checkpoint from its end.
    is_busy: bool,
}

impl Filled {
    /// As it is; nothing is done.
    fn of(connection: &Connection) -> Result<Self, WorldError> {
        let filled = Self::after(connection, "NOOP")?;
        if filled.is_busy || filled.frames < 0 {
            let message =
                "the index of the write-ahead log cannot be read at this moment; try again";
            return Err(WorldError::new(ErrorKind::Busy, message));
        }
        Ok(filled)
    }

    /// As it is after a checkpoint of this mode.
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
