//! Writes the log to the disk again after the disk failed to write it.
//!
//! When a sync fails, Linux marks the unwritten pages as written. A later sync then succeeds, and the
//! disk keeps a hole, at which the next recovery stops. Memory still has the contents, and the log's
//! checksums prove them. So this writes every committed frame again, cuts off the rest, which belongs
//! to a rejected commit, and syncs the file. Then the log is as whole as if nothing had failed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as IoErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::super::resolve::beside;
use super::format::{Chain, HEADER_BYTES};
use super::{Filled, log_path};
use crate::error::{ErrorKind, WorldError};

/// Frames that are read and written at a time.
const FRAMES_AT_ONCE: u64 = 64;

/// Tells later processes that the log is doubtful, in case this process is killed first. The mark need
/// not be on the disk, because a power cut leaves another log.
pub(super) fn mark_doubtful(database: &Path) {
    // If this fails too, other processes with the log open notice by their own next sync.
    let _ = File::create(mark(database));
}

/// Whether a process has left a doubtful log.
pub(in super::super) fn is_marked_doubtful(database: &Path) -> bool {
    mark(database).exists()
}

fn mark(database: &Path) -> PathBuf {
    beside(database, "-doubtful")
}

/// Writes the log again. `writing` has no transaction; `looking` is another connection.
///
/// # Errors
/// `Corrupt` if a committed frame has changed, which no retry mends; otherwise the storage fault, which
/// leaves the log as doubtful as before.
pub(in super::super) fn mend(
    writing: &Connection,
    looking: &Connection,
    database: &Path,
) -> Result<(), WorldError> {
    // Now nobody appends to the log or restarts it. Readers and checkpoints only read it.
    writing.execute_batch("BEGIN IMMEDIATE")?;
    let mended = Filled::of(looking).and_then(|filled| write_anew(&log_path(database), filled));
    writing.execute_batch("ROLLBACK")?;
    if mended.is_ok() && is_marked_doubtful(database) {
        // If the mark stays, the next opening writes the log again.
        let _ = fs::remove_file(mark(database));
    }
    mended
}

fn write_anew(log: &Path, filled: Filled) -> Result<(), WorldError> {
    // SQLite has no lock on the log, so closing it releases none.
    let mut file = OpenOptions::new().read(true).write(true).open(log).map_err(failed)?;
    let end = match filled.frames {
        0 => 0,
        frames => write_frames(&mut file, frames.unsigned_abs())?,
    };
    file.set_len(end).map_err(failed)?;
    file.sync_data().map_err(failed)
}

/// Returns the end of the last frame.
fn write_frames(file: &mut File, frames: u64) -> Result<u64, WorldError> {
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).map_err(|error| unreadable(&error))?;
    let mut chain = Chain::begin(&header).ok_or_else(lost)?;
    write_at(file, 0, &header)?;
    let mut bytes = Vec::new();
    let mut done = 0;
    while done < frames {
        let now = FRAMES_AT_ONCE.min(frames - done);
        bytes.resize(now as usize * chain.frame_bytes(), 0);
        file.seek(SeekFrom::Start(chain.offset(done))).map_err(failed)?;
        file.read_exact(&mut bytes).map_err(|error| unreadable(&error))?;
        if !bytes.chunks_exact(chain.frame_bytes()).all(|frame| chain.follows(frame)) {
            return Err(lost());
        }
        write_at(file, chain.offset(done), &bytes)?;
        done += now;
    }
    Ok(chain.offset(frames))
}

fn write_at(file: &mut File, offset: u64, bytes: &[u8]) -> Result<(), WorldError> {
    file.seek(SeekFrom::Start(offset)).and_then(|_| file.write_all(bytes)).map_err(failed)
}

fn unreadable(error: &io::Error) -> WorldError {
    match error.kind() {
        IoErrorKind::UnexpectedEof => lost(),
        _ => failed(error),
    }
}

fn lost() -> WorldError {
    WorldError::new(
        ErrorKind::Corrupt,
        "the disk lost a part of the write-ahead log that it had accepted; end every process that has \
         the database open, check the disk, and start again: the start recovers everything that was \
         acknowledged before the disk failed",
    )
    .for_good()
}

fn failed(error: impl std::borrow::Borrow<io::Error>) -> WorldError {
    let error = error.borrow();
    let kind = match error.kind() {
        IoErrorKind::StorageFull | IoErrorKind::QuotaExceeded => ErrorKind::StorageFull,
        IoErrorKind::PermissionDenied | IoErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        _ => ErrorKind::Io,
    };
    WorldError::new(
        kind,
        format!(
            "the disk failed to write the log of the database ({error}), and hookline writes nothing \
             until the disk works again; check the disk and its free space"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Database {
        folder: tempfile::TempDir,
        writing: Connection,
        looking: Connection,
    }

    impl Database {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.db");
            let writing = Connection::open(&path).unwrap();
            writing.pragma_update(None, "journal_mode", "wal").unwrap();
            writing.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
            writing.execute_batch("CREATE TABLE a (b); INSERT INTO a VALUES (1)").unwrap();
            let looking = Connection::open(&path).unwrap();
            Self { folder, writing, looking }
        }

        fn path(&self) -> std::path::PathBuf {
            self.folder.path().join("a.db")
        }

        fn mend(&self) -> Result<(), WorldError> {
            mend(&self.writing, &self.looking, &self.path())
        }

        fn log(&self) -> Vec<u8> {
            std::fs::read(log_path(&self.path())).unwrap()
        }
    }

    #[test]
    fn a_log_that_is_mended_is_the_same_log() {
        let database = Database::new();
        let before = database.log();
        database.mend().unwrap();
        assert_eq!(database.log(), before);
        database.writing.execute("INSERT INTO a VALUES (2)", []).unwrap();
        let rows: i64 =
            database.looking.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 2);
    }

    #[test]
    fn what_was_never_committed_is_cut_off() {
        let database = Database::new();
        let before = database.log();
        let mut file = OpenOptions::new().append(true).open(log_path(&database.path())).unwrap();
        file.write_all(&[1; 10_000]).unwrap();
        database.mend().unwrap();
        assert_eq!(database.log(), before);
    }

    #[test]
    fn a_log_that_holds_nothing_is_emptied() {
        let database = Database::new();
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        database.writing.query_row(checkpoint, [], |_| Ok(())).unwrap();
        std::fs::write(log_path(&database.path()), [1; 10_000]).unwrap();
        database.mend().unwrap();
        assert_eq!(database.log(), b"");
        database.writing.execute("INSERT INTO a VALUES (2)", []).unwrap();
    }

    #[test]
    fn a_frame_that_the_disk_has_lost_is_never_taken_for_written() {
        let database = Database::new();
        let mut log = database.log();
        log[100] ^= 1;
        std::fs::write(log_path(&database.path()), &log).unwrap();
        assert_eq!(database.mend().unwrap_err().kind, ErrorKind::Corrupt);
    }
}
