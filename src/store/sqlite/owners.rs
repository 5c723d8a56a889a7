//! Who holds leases on this host, and whether they still live.
//!
//! Each process that claims holds an operating-system lock on a file of its own beside the database.
//! The kernel frees the lock when the process dies, however it dies, so its leases can be freed at
//! once instead of when they expire.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::lock::lock;

/// The folder of lock files of one database; `None` for a database in memory.
pub(super) struct Owners {
    folder: Option<PathBuf>,
    me: String,
    mine: Mutex<Option<File>>,
}

impl Owners {
    pub(super) fn new(database: Option<&PathBuf>, me: String) -> Self {
        let folder = database.map(|path| {
            let mut name = path.as_os_str().to_owned();
            name.push("-owners");
            PathBuf::from(name)
        });
        Self { folder, me, mine: Mutex::new(None) }
    }

    pub(super) fn me(&self) -> &str {
        &self.me
    }

    /// Shows that this process lives, from now until it ends. Idempotent; makes the file anew when
    /// somebody has removed it. On a file system without locks there is nothing to show, and leases
    /// end by their expiry.
    pub(super) fn register(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
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
                // The lock is free, so the owner has died: nobody else removes what it left.
                let _ = fs::remove_file(&path);
                false
            }
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        }
    }

    /// Shows that this process no longer claims.
    pub(super) fn deregister(&self) {
        let mut mine = lock(&self.mine);
        if let (Some(_), Some(folder)) = (mine.take(), &self.folder) {
            let _ = fs::remove_file(folder.join(&self.me));
        }
    }
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
