//! Finds the readers that keep the log from restarting.

use std::fs;
use std::path::Path;

use super::log_path;
use super::shrinking::KEPT_BYTES;
use crate::store::LogState;

/// The length of a database's log, and its readers if it is longer than a log that nobody holds. Opens
/// none of the files: closing one of them would release SQLite's locks.
pub(in super::super) fn state(database: &Path) -> LogState {
    let bytes = fs::metadata(log_path(database)).map_or(0, |log| log.len());
    let read_by = if bytes > KEPT_BYTES { readers(database) } else { Vec::new() };
    LogState { bytes: i64::try_from(bytes).unwrap_or(i64::MAX), read_by }
}

/// The kernel lists every lock with its process.
#[cfg(target_os = "linux")]
fn readers(database: &Path) -> Vec<i64> {
    use std::os::unix::fs::MetadataExt;

    let Ok(shared) = fs::metadata(super::beside(database, "-shm")) else { return Vec::new() };
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let mut readers: Vec<i64> =
        locks.lines().filter_map(|line| reader(line, shared.ino())).collect();
    readers.sort_unstable();
    readers.dedup();
    readers
}

#[cfg(not(target_os = "linux"))]
fn readers(_database: &Path) -> Vec<i64> {
    Vec::new()
}

/// The process of a line of `/proc/locks`, if the line is a lock by which SQLite marks a reader of the
/// log in the shared memory with this inode.
#[cfg(any(target_os = "linux", test))]
fn reader(line: &str, inode: u64) -> Option<i64> {
    /// Marks 1 to 4. A reader at mark 0 reads only the database file.
    const READ_MARKS: std::ops::RangeInclusive<u64> = 124..=127;
    let columns: Vec<&str> = line.split_whitespace().collect();
    let [_, "POSIX", _, "READ", process, file, first, _] = columns[..] else { return None };
    let of_file = file.rsplit(':').next()?.parse() == Ok(inode);
    let is_mark = READ_MARKS.contains(&first.parse().ok()?);
    if of_file && is_mark { process.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn nobody_is_said_to_hold_a_log_of_the_length_that_it_keeps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let reading = Connection::open(&path).unwrap();
        reading.pragma_update(None, "journal_mode", "wal").unwrap();
        reading.execute_batch("CREATE TABLE a (b); BEGIN").unwrap();
        reading.query_row("SELECT count(*) FROM a", [], |_| Ok(())).unwrap();
        let log = fs::OpenOptions::new().write(true).open(log_path(&path)).unwrap();
        log.set_len(KEPT_BYTES).unwrap();
        assert_eq!(state(&path), LogState { bytes: KEPT_BYTES as i64, read_by: Vec::new() });
    }

    #[test]
    fn the_readers_of_a_log_are_read_from_the_kernels_list() {
        let line = "5: POSIX  ADVISORY  READ 4711 fe:00:99 124 124";
        assert_eq!(reader(line, 99), Some(4711));
        assert_eq!(reader(line, 98), None, "another file");
        assert_eq!(reader(&line.replace("124", "123"), 99), None, "it reads the database file");
        assert_eq!(reader(&line.replace("124", "128"), 99), None, "it has the file open");
        assert_eq!(reader(&line.replace("READ", "WRITE"), 99), None);
        assert_eq!(reader(&line.replacen("5:", "5: ->", 1), 99), None, "it waits");
        assert_eq!(reader("", 99), None);
    }
}
