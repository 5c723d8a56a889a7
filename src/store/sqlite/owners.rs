//! Who holds leases on this host, and whether they still live.
//!
//! Each process that claims holds an operating-system lock on a file of its own beside the database.
//! The kernel frees the lock when the process dies, however it dies, so its leases can be freed at
//! once instead of when they expire.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::access::lock_files_refused;
use super::host_claim;
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::upkeep::Worker;

/// How much of what an owner says is read: what it may have to say is shorter.
const REPORT_BYTES_MAX: u64 = 64 * 1024;

/// The folder of lock files of one database; `None` for a database in memory.
pub(super) struct Owners {
    folder: Option<PathBuf>,
    me: String,
    mine: Mutex<Option<File>>,
}

impl Owners {
    pub(super) fn new(database: Option<&PathBuf>, me: String) -> Self {
        let folder = database.map(|path| folder_of(path));
        Self { folder, me, mine: Mutex::new(None) }
    }

    pub(super) fn me(&self) -> &str {
        &self.me
    }

    /// Shows that this process lives, from now until it ends. Idempotent; makes the file anew when
    /// somebody has removed it. On a file system without locks there is nothing to show, and leases
    /// end by their expiry.
    ///
    /// # Errors
    /// `ReadOnly`, with the folder and its owner, when it belongs to another user; `StorageFull`, `Io`.
    pub(super) fn register(&self) -> Result<(), WorldError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        self.register_in(folder).map_err(|error| lock_files_refused(folder, &error))
    }

    fn register_in(&self, folder: &Path) -> io::Result<()> {
        let mut mine = lock(&self.mine);
        let path = folder.join(&self.me);
        if mine.is_some() && path.exists() {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        let file = File::create(path)?;
        match file.lock() {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
            _ => {
                *mine = Some(file);
                Ok(())
            }
        }
    }

    /// Whether an owner may still be alive. An owner without a lock file has ended or never was; on
    /// a file system without locks everybody seems alive, and expiry decides.
    pub(super) fn is_alive(&self, owner: &str) -> bool {
        let Some(folder) = &self.folder else { return true };
        let path = folder.join(owner);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) => return error.kind() != io::ErrorKind::NotFound,
        };
        match file.try_lock_shared() {
            Ok(()) => {
                // The lock is free, so the owner has died: nobody else removes what it left. What stays
                // is seen as dead again.
                let _ = fs::remove_file(&path);
                false
            }
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        }
    }

    /// Writes what this process says of itself into its lock file, in place of what it said before.
    pub(super) fn show(&self, report: &str) -> io::Result<()> {
        if self.folder.is_none() {
            return Ok(());
        }
        let mine = lock(&self.mine);
        let mut file = mine.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(report.as_bytes())
    }

    /// Shows that this process no longer claims.
    pub(super) fn deregister(&self) {
        let mut mine = lock(&self.mine);
        if let (Some(_), Some(folder)) = (mine.take(), &self.folder) {
            // What stays is free, so its owner is seen to have ended.
            let _ = fs::remove_file(folder.join(&self.me));
        }
    }
}

/// The folder of the lock files of a database.
fn folder_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-owners");
    PathBuf::from(name)
}

/// The owners that live, with what they say of themselves where that can be read; changes nothing.
pub(super) fn living(database: &Path) -> io::Result<Vec<Worker>> {
    let mut living = Vec::new();
    let entries = match fs::read_dir(folder_of(database)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(living),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        // It says which host has the database, and is locked by all of its processes together.
        if entry.file_name() == host_claim::FILE {
            continue;
        }
        // One that has gone meanwhile has ended.
        let Ok(file) = File::open(entry.path()) else { continue };
        if file.try_lock_shared().is_ok() {
            continue;
        }
        let mut report = String::new();
        // Windows lets nobody else read a locked file.
        let read = file.take(REPORT_BYTES_MAX).read_to_string(&mut report);
        let lease_owner = entry.file_name().to_string_lossy().into_owned();
        let report = read.ok().map(|_| report).filter(|report| !report.is_empty());
        living.push(Worker { lease_owner, report });
    }
    Ok(living)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_lives_as_long_as_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let worker = Owners::new(Some(&database), "worker".into());
        let observer = Owners::new(Some(&database), "observer".into());
        assert!(!observer.is_alive("worker"));
        worker.register().unwrap();
        worker.register().unwrap();
        assert!(observer.is_alive("worker"));
        worker.deregister();
        assert!(!observer.is_alive("worker"));
        assert!(!observer.is_alive("nobody"));
    }

    #[test]
    fn an_owner_that_lives_is_seen_with_what_it_said_last() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        assert_eq!(living(&database).unwrap(), []);
        let worker = Owners::new(Some(&database), "worker".into());
        assert!(worker.show("too early").is_err());
        worker.register().unwrap();
        worker.show("a long report").unwrap();
        worker.show("a report").unwrap();
        // Left by one that has died.
        fs::write(folder_of(&database).join("dead"), "").unwrap();
        let seen = Worker { lease_owner: "worker".into(), report: Some("a report".into()) };
        assert_eq!(living(&database).unwrap(), [seen]);
        assert!(folder_of(&database).join("dead").exists(), "who looks changes nothing");
        worker.deregister();
        assert_eq!(living(&database).unwrap(), []);
    }

    #[test]
    fn an_owner_whose_file_was_removed_shows_itself_again() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let worker = Owners::new(Some(&database), "worker".into());
        let observer = Owners::new(Some(&database), "observer".into());
        worker.register().unwrap();
        fs::remove_dir_all(folder.path().join("a.db-owners")).unwrap();
        worker.register().unwrap();
        assert!(observer.is_alive("worker"));
    }
}
