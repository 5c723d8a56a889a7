//! Protects the files of an open database from removal by other processes.
//!
//! SQLite's locks belong to the process. Any code in the process that opens and closes the database
//! file (a copy of it, another SQLite) drops them. The next process that closes the database then
//! believes it is the last one, and unlinks the log that this process still writes. So each process
//! holds its own locks, which belong to descriptors that stay open. One lock keeps others from the
//! exclusive lock of a last closer. The other keeps them from treating the shared memory as orphaned.
//!
//! Closing these descriptors drops SQLite's locks too. So all stores of the process on one database
//! share one set, which is closed after the last of their connections.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::access;
use super::file_id::FileId;
use super::marks;
use super::open_file_locks::{self as locks, Bytes, Locked};
use super::resolve::beside;
use crate::error::{ErrorKind, WorldError};
use crate::lock::lock;

/// The first of the bytes that every user of the database locks shared and that a last closer locks
/// exclusively.
const IN_USE: Bytes = 0x4000_0002..0x4000_0003;
/// The byte of the shared memory that every user of it locks ("dead man's switch").
const SHARED_MEMORY_IN_USE: Bytes = 128..129;

/// All bytes that can be locked.
const EVERY_BYTE: Bytes = 0..i64::MAX;

/// The databases that this process has open.
static DATABASES: Mutex<BTreeMap<FileId, Files>> = Mutex::new(BTreeMap::new());

/// The files of one database that this process has open.
struct Files {
    /// The name by which it was first opened. All later openings use the same name.
    path: PathBuf,
    /// Whether no other process had it open when this one came.
    was_alone: bool,
    /// The number of members that have connections or will soon have some.
    members: usize,
    /// The number of protected members.
    protected: usize,
    /// The database file, once for each opening. The first descriptor has the locks.
    database: Vec<Arc<File>>,
    /// One of the descriptors, open for writing.
    to_write: Option<Arc<File>>,
    /// The shared memory, and the files that were there before it.
    shared_memory: Vec<(FileId, File)>,
}

/// A membership in the files of one database that this process has open. The holder of a connection
/// also holds a membership, from before the connection is opened until after it is closed.
pub struct Guard(FileId);

impl Guard {
    /// Joins the other members of this process on an existing database, to write to it.
    ///
    /// # Errors
    /// `ReadOnly` if this user may not write it; `CannotOpen` if another process has it open under
    /// another name; `BadConfig` if another copy of this addon has it open in this process; the error
    /// of opening the file.
    pub fn join(path: &Path) -> Result<Self, WorldError> {
        access::refuse_unwritable_files(path)?;
        // On an overlay file system, only opening a file for writing decides its identity.
        let guard = Self::join_by(path, |path| open_to_write(path).or_else(|_| File::open(path)))?;
        // The first member may have opened it only for reading.
        guard.files(Files::open_to_write);
        Ok(guard)
    }

    /// Joins as [`Guard::join`] does, but to read.
    ///
    /// # Errors
    /// As [`Guard::join`].
    pub fn join_to_read(path: &Path) -> Result<Self, WorldError> {
        Self::join_by(path, |path| File::open(path))
    }

    fn join_by(
        path: &Path,
        open: impl FnOnce(&Path) -> io::Result<File>,
    ) -> Result<Self, WorldError> {
        let unreadable = |error| cannot_open(path, &error);
        let id = FileId::at(path).map_err(unreadable)?;
        let mut databases = lock(&DATABASES);
        if let Some(files) = databases.get_mut(&id) {
            files.members += 1;
            return Ok(Self(id));
        }
        // Opening a pipe would wait for its other end.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::other("it is no file")));
        }
        let file = Arc::new(open(path).map_err(unreadable)?);
        let was_alone = !locks::is_held_elsewhere(&file, &IN_USE);
        // The file may have been replaced since.
        let id = FileId::of(&file).map_err(unreadable)?.unwrap_or(id);
        match databases.get_mut(&id) {
            Some(files) => {
                files.members += 1;
                files.database.push(file);
            }
            None => {
                let files = Files::of(path, file, was_alone);
                files.introduce()?;
                databases.insert(id.clone(), files);
            }
        }
        Ok(Self(id))
    }

    /// The identity of the database file.
    pub fn id(&self) -> &FileId {
        &self.0
    }

    /// The one name by which this process opens the database.
    pub fn path(&self) -> PathBuf {
        self.files(|files| files.path.clone()).unwrap_or_default()
    }

    /// Whether no other process had the database open when this one came, as far as is known.
    pub(super) fn was_alone(&self) -> bool {
        self.files(|files| files.was_alone).unwrap_or(true)
    }

    /// Takes the locks after the database has been opened with its log. They hold until the returned
    /// value is dropped. Drop it before closing the last connection, which then leaves only one file.
    ///
    /// # Errors
    /// `Busy` if another process is closing the database and has it exclusively; the error of opening
    /// the shared memory.
    pub(super) fn protect(&self) -> Result<Protection, WorldError> {
        self.files(Files::protect).unwrap_or(Ok(()))?;
        Ok(Protection(self.0.clone()))
    }

    /// The file, open for writing if possible. Close it only together with the membership.
    pub(super) fn file(&self) -> Option<Arc<File>> {
        self.files(|files| files.to_write.as_ref().or(files.database.first()).cloned()).flatten()
    }

    fn files<T>(&self, work: impl FnOnce(&mut Files) -> T) -> Option<T> {
        lock(&DATABASES).get_mut(&self.0).map(work)
    }
}

/// The files that a store holds, from before its first connection until after its last.
pub(super) struct HeldFiles(Mutex<Option<(Option<Protection>, Option<Guard>)>>);

impl HeldFiles {
    /// Holds nothing for a database in memory.
    pub(super) fn new(protection: Option<Protection>, guard: Option<Guard>) -> Self {
        Self(Mutex::new(Some((protection, guard))))
    }

    /// A membership for a connection that may be closed later than the store's; `None` if there is
    /// nothing to hold, or nothing any more.
    pub(super) fn join(&self) -> Option<Guard> {
        lock(&self.0).as_ref()?.1.clone()
    }

    /// Releases everything in the right order; `close` closes the store's last connection. Idempotent.
    pub(super) fn release(&self, close: impl FnOnce()) {
        let held = lock(&self.0).take();
        let (protection, guard) = held.unwrap_or_default();
        drop(protection);
        close();
        drop(guard);
    }
}

/// The locks that a member needs. Other members of the process may need them too.
pub(super) struct Protection(FileId);

impl Drop for Protection {
    fn drop(&mut self) {
        if let Some(files) = lock(&DATABASES).get_mut(&self.0) {
            files.unprotect();
        }
    }
}

impl Clone for Guard {
    fn clone(&self) -> Self {
        self.files(|files| files.members += 1);
        Self(self.0.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut databases = lock(&DATABASES);
        if let Some(files) = databases.get_mut(&self.0) {
            files.members -= 1;
            if files.members == 0 {
                databases.remove(&self.0);
            }
        }
    }
}

impl Drop for Files {
    /// A child process that is being started has copies of the descriptors until it runs its program. So
    /// closing them does not yet release the locks.
    fn drop(&mut self) {
        self.database.iter().for_each(|file| locks::release(file, &EVERY_BYTE));
        self.shared_memory.iter().for_each(|(_, file)| locks::release(file, &EVERY_BYTE));
    }
}

impl Files {
    fn of(path: &Path, file: Arc<File>, was_alone: bool) -> Self {
        Self {
            path: path.to_owned(),
            was_alone,
            members: 1,
            protected: 0,
            database: vec![file],
            to_write: None,
            shared_memory: Vec::new(),
        }
    }

    /// Announces to the other processes the name by which this one has the file open, and reads theirs.
    fn introduce(&self) -> Result<(), WorldError> {
        let (path, Some(file)) = (&self.path, self.database.first()) else { return Ok(()) };
        let (name, process) = (marks::of_name(path), marks::of_this_process());
        for mark in name.iter().chain(&process) {
            // Without such locks, processes can neither announce nor read names.
            let _ = locks::share(file, mark);
        }
        if process.is_some_and(|mark| locks::is_held_elsewhere(file, &mark)) {
            return Err(WorldError::new(
                ErrorKind::BadConfig,
                "another copy of hookline in this process has the database open. Closing it in one copy \
                 would drop the locks of the other: let the app load only one copy (npm ls hookline \
                 shows them, npm dedupe may be enough)",
            ));
        }
        let Some(name) = name else { return Ok(()) };
        let others = [marks::NAMES.start..name.start, name.end..marks::NAMES.end];
        if others.iter().any(|bytes| locks::is_held_elsewhere(file, bytes)) {
            let message = format!(
                "another process has the database {} open under another name (a hard link, or a mount of \
                 the file alone). Each name has a write-ahead log of its own, and two logs would damage the \
                 database: give every process the same path, or mount the folder instead of the file",
                path.display()
            );
            return Err(WorldError::new(ErrorKind::CannotOpen, message));
        }
        Ok(())
    }

    /// Opens the file for writing, unless it is open so already.
    fn open_to_write(&mut self) {
        if self.to_write.is_none()
            && let Ok(file) = open_to_write(&self.path)
        {
            let file = Arc::new(file);
            self.database.push(Arc::clone(&file));
            self.to_write = Some(file);
        }
    }

    fn protect(&mut self) -> Result<(), WorldError> {
        self.protected += 1;
        let locked = self.lock_all();
        if locked.is_err() {
            self.unprotect();
        }
        locked
    }

    fn unprotect(&mut self) {
        self.protected -= 1;
        if self.protected == 0 {
            self.release_all();
        }
    }

    fn lock_all(&mut self) -> Result<(), WorldError> {
        let Some(database) = self.database.first() else { return Ok(()) };
        let mut locked = vec![locks::share(database, &IN_USE)];
        self.open_shared_memory()?;
        let share = |(_, file): &(FileId, File)| locks::share(file, &SHARED_MEMORY_IN_USE);
        locked.extend(self.shared_memory.iter().map(share));
        if locked.contains(&Locked::Excluded) {
            let message = "another process is closing the database; try again";
            return Err(WorldError::new(ErrorKind::Busy, message));
        }
        Ok(())
    }

    /// Opens the shared memory, unless it is open. The earlier file stays open, because it may not be
    /// closed before the connections.
    fn open_shared_memory(&mut self) -> Result<(), WorldError> {
        let path = beside(&self.path, "-shm");
        let opened = FileId::at(&path).and_then(|id| {
            match self.shared_memory.iter().any(|(known, _)| *known == id) {
                true => Ok(None),
                false => File::open(&path).map(|file| Some((id, file))),
            }
        });
        match opened {
            Ok(opened) => self.shared_memory.extend(opened),
            // A reader has no shared memory if no other process uses the log.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot_open(&path, &error)),
        }
        Ok(())
    }

    fn release_all(&mut self) {
        self.database.iter().for_each(|file| locks::release(file, &IN_USE));
        let release = |(_, file): &(FileId, File)| locks::release(file, &SHARED_MEMORY_IN_USE);
        self.shared_memory.iter().for_each(release);
    }
}

fn open_to_write(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

fn cannot_open(path: &Path, error: &io::Error) -> WorldError {
    let message = format!(
        "{} cannot be opened: {error}; check that the path names a file which this user may read",
        path.display()
    );
    WorldError::new(ErrorKind::CannotOpen, message).with("path", path.display().to_string())
}

#[cfg(all(test, target_os = "linux", target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    fn a_writer_has_a_file_to_write_though_a_reader_joined_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        fs::write(&path, "").unwrap();
        let reader = Guard::join_to_read(&path).unwrap();
        let writer = Guard::join(&path).unwrap();
        assert_eq!(writer.id(), reader.id());
        let file = writer.file().unwrap();
        assert_eq!(locks::take_alone(&file, &marks::WRITING), Locked::Held);
    }

    /// Between fork and exec, a child process has a copy of every descriptor.
    #[test]
    fn a_database_opens_again_though_a_child_process_that_starts_has_copies_of_its_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        fs::write(&path, "").unwrap();
        let guard = Guard::join(&path).unwrap();
        let copies = guard.files(|files| {
            files.database.iter().map(|file| file.try_clone().unwrap()).collect::<Vec<_>>()
        });
        drop(guard);
        assert!(Guard::join(&path).is_ok());
        drop(copies);
    }
}
