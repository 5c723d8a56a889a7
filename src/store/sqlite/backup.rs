//! A backup: a copy of the database at one moment, in its own file.
//!
//! SQLite's backup copies the pages within one read transaction, at the speed of the disk. During this
//! read the log cannot be checkpointed and grows. So the read does nothing else: the copy is synced and
//! checked after the database has been released. `VACUUM INTO` would rebuild every tree within its
//! read. A backup in several steps would start again after every commit of another process, and so
//! never end.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup as PageCopy, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::connect::Location;
use super::examination::damages;
use crate::error::{ErrorKind, WorldError};
use crate::store::upkeep::Backup;

/// The wait for a connection that has the database exclusively. In WAL mode no connection has it for
/// long.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// The most unfinished backups to one name: in progress, or left by killed processes.
const PARTIALS_MAX: u32 = 1000;

/// Writes the backup under another name first, so that an unfinished file is never taken for a backup.
pub(super) fn back_up(location: &Location, to: &Path) -> Result<Backup, WorldError> {
    // `publish` checks this again; the early check saves the copying.
    if fs::symlink_metadata(to).is_ok() {
        return Err(is_there(to));
    }
    let partial = Partial::create(to)?;
    copy_pages(location, &partial.path)?;
    partial.file.sync_all().map_err(|error| failed(&partial.path, &error))?;
    let backup = checked(&partial)?;
    publish(&partial.path, to)?;
    sync_folder(to).map_err(|error| failed(to, &error))?;
    Ok(backup)
}

/// An unfinished backup file. Dropping it deletes the file. A file that a killed process has left is
/// recognised by its name, and obstructs nothing.
struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    /// A new file that only its owner can read.
    fn create(to: &Path) -> Result<Self, WorldError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut number = 1;
        loop {
            let mut name = to.as_os_str().to_owned();
            name.push(format!(".{number}.partial"));
            let path = PathBuf::from(name);
            match options.open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && number < PARTIALS_MAX =>
                {
                    number += 1;
                }
                Err(error) => return Err(failed(&path, &error)),
            }
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After a rename the file no longer exists under this name.
        let _ = fs::remove_file(&self.path);
    }
}

fn copy_pages(location: &Location, partial: &Path) -> Result<(), WorldError> {
    let flags = OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let read = flags | OpenFlags::SQLITE_OPEN_READ_ONLY;
    let source = Connection::open_with_flags(location.uri(), read)?;
    source.busy_timeout(BUSY_WAIT)?;
    let write = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = Connection::open_with_flags(partial, write)?;
    // An unfinished copy is deleted, and a finished one is synced at once.
    copy.pragma_update(None, "journal_mode", "off")?;
    copy.pragma_update(None, "synchronous", "off")?;
    // Without this, the following lines would create a shared-memory file beside the copy.
    copy.pragma_update(None, "locking_mode", "exclusive")?;
    let pages = PageCopy::new(&source, &mut copy)?;
    match pages.step(-1)? {
        StepResult::Done => {}
        _ => {
            let message = "another process has held the database for too long; try again";
            return Err(WorldError::new(ErrorKind::Busy, message));
        }
    }
    drop(pages);
    drop(source);
    // So that the copy can be read from a folder that is not writable.
    copy.pragma_update(None, "journal_mode", "delete")?;
    copy.close().map_err(|(_, error)| error.into())
}

/// The contents of a copy, if it is sound.
fn checked(partial: &Partial) -> Result<Backup, WorldError> {
    let copy = Connection::open_with_flags(&partial.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    if let Some(damage) = damages(&copy)?.first() {
        let message = format!("the copy is damaged, and the database may be damaged too: {damage}");
        return Err(WorldError::new(ErrorKind::Corrupt, message));
    }
    let count = |sql: &str| copy.query_row(sql, [], |row| row.get(0));
    let runs = count("SELECT count(*) FROM runs")?;
    let events = count("SELECT count(*) FROM events")?;
    let metadata = partial.file.metadata().map_err(|error| failed(&partial.path, &error))?;
    Ok(Backup { bytes: i64::try_from(metadata.len()).unwrap_or(i64::MAX), runs, events })
}

/// Gives a copy its final name, unless a file has that name by now. A hard link does so in one step. On
/// a file system without hard links, an empty file takes the name first and is then replaced.
fn publish(partial: &Path, to: &Path) -> Result<(), WorldError> {
    let named = match fs::hard_link(partial, to) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => replace_new(partial, to),
        linked => linked,
    };
    named.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => is_there(to),
        _ => failed(to, &error),
    })
}

fn replace_new(partial: &Path, to: &Path) -> io::Result<()> {
    File::create_new(to)?;
    fs::rename(partial, to).inspect_err(|_| {
        // The empty file is ours.
        let _ = fs::remove_file(to);
    })
}

fn is_there(to: &Path) -> WorldError {
    WorldError::invalid(format!("{} exists already; choose another name", to.display()))
}

/// Syncs the folder: only then is the name of a new file on disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    #[cfg(unix)]
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn failed(path: &Path, error: &io::Error) -> WorldError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull => ErrorKind::StorageFull,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        _ => ErrorKind::Io,
    };
    WorldError::new(kind, format!("{} cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_appears_while_the_copy_is_made_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("backup.db");
        let partial = Partial::create(&to).unwrap();
        fs::write(&to, "somebody else's").unwrap();
        assert_eq!(publish(&partial.path, &to).unwrap_err().kind, ErrorKind::Invalid);
        let replaced = replace_new(&partial.path, &to).unwrap_err();
        assert_eq!(replaced.kind(), io::ErrorKind::AlreadyExists);
        drop(partial);
        assert_eq!(fs::read(&to).unwrap(), b"somebody else's");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_copy_gets_its_name_with_and_without_second_names() {
        type Publish = fn(&Path, &Path) -> bool;
        let ways: [Publish; 2] = [
            |partial, to| publish(partial, to).is_ok(),
            |partial, to| replace_new(partial, to).is_ok(),
        ];
        for publishes in ways {
            let folder = tempfile::tempdir().unwrap();
            let to = folder.path().join("backup.db");
            let partial = Partial::create(&to).unwrap();
            fs::write(&partial.path, "whole").unwrap();
            assert!(publishes(&partial.path, &to));
            drop(partial);
            assert_eq!(fs::read(&to).unwrap(), b"whole");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_a_killed_backup_has_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("backup.db");
        let left = folder.path().join("backup.db.1.partial");
        fs::write(&left, "cut short").unwrap();
        let partial = Partial::create(&to).unwrap();
        assert_eq!(partial.path, folder.path().join("backup.db.2.partial"));
        drop(partial);
        assert_eq!(fs::read(&left).unwrap(), b"cut short");
    }
}
