//! Gives the space of an overlong log back while the log is in use.
//!
//! Cutting a gigabyte off a file takes a second, in which nobody could write. So the file is cut piece
//! by piece.

use std::fs::{self, OpenOptions};
use std::path::Path;

use rusqlite::Connection;

use super::{FRAME_BYTES, Filled, log_path};
use crate::error::{ErrorKind, WorldError};

/// The length that a log keeps.
pub(super) const KEPT_BYTES: u64 = 64 * 1024 * 1024;
/// The length of one piece, which takes some milliseconds to cut.
const PIECE_BYTES: u64 = 8 * 1024 * 1024;

/// Whether a log is longer than the length that it keeps.
pub(super) fn is_long(database: &Path) -> bool {
    fs::metadata(log_path(database)).is_ok_and(|log| log.len() > KEPT_BYTES)
}

/// Cuts a piece off the end of the file, after the last frame. `writing` has no transaction; `looking`
/// is another connection. Returns whether there is more to cut.
///
/// # Errors
/// Storage faults; the log is unchanged.
pub(super) fn cut_piece(
    writing: &Connection,
    looking: &Connection,
    database: &Path,
) -> Result<bool, WorldError> {
    // Now nobody appends.
    writing.execute_batch("BEGIN IMMEDIATE")?;
    let cut = Filled::of(looking).and_then(|filled| cut_behind(database, filled));
    writing.execute_batch("ROLLBACK")?;
    cut
}

fn cut_behind(database: &Path, filled: Filled) -> Result<bool, WorldError> {
    let failed = |error: std::io::Error| WorldError::new(ErrorKind::Io, error.to_string());
    let log = OpenOptions::new().write(true).open(log_path(database)).map_err(failed)?;
    let length = log.metadata().map_err(failed)?.len();
    // All our databases have this page size. Counting one frame too many does no harm.
    let used = (filled.frames + 1).unsigned_abs() * FRAME_BYTES.unsigned_abs();
    let least = KEPT_BYTES.max(used);
    if length <= least {
        return Ok(false);
    }
    let left = least.max(length.saturating_sub(PIECE_BYTES));
    log.set_len(left).map_err(failed)?;
    Ok(left > least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_cut_piece_by_piece_behind_its_last_frame() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let writing = Connection::open(&path).unwrap();
        writing.pragma_update(None, "journal_mode", "wal").unwrap();
        writing.execute_batch("CREATE TABLE a (b); INSERT INTO a VALUES (1)").unwrap();
        let looking = Connection::open(&path).unwrap();
        let log = OpenOptions::new().write(true).open(log_path(&path)).unwrap();
        log.set_len(KEPT_BYTES + PIECE_BYTES + 1).unwrap();
        assert!(is_long(&path));
        assert!(cut_piece(&writing, &looking, &path).unwrap());
        assert!(!cut_piece(&writing, &looking, &path).unwrap());
        assert!(!is_long(&path));
        let count = |connection: &Connection| -> i64 {
            connection.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap()
        };
        assert_eq!((count(&writing), count(&looking)), (1, 1));
    }
}
