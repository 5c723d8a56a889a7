//! The owners of leases on this host, and whether they are alive.
//!
//! Each process that claims holds an operating-system lock on its own file beside the database. The
//! kernel frees the lock when the process dies for any reason. So its leases can be freed at once,
//! before they expire.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::access::lock_files_refused;
use super::file_id::FileId;
use super::host_claim;
use super::resolve::beside;
use super::same_access::SameAccess;
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::upkeep::Worker;

/// The most bytes that are read of an owner's report. Real reports are shorter.
const REPORT_BYTES_MAX: u64 = 64 * 1024;

/// The folder of lock files of one database; `None` for a database in memory.
pub(super) struct Owners {
    folder: Option<PathBuf>,
    database: PathBuf,
    me: String,
    mine: Mutex<Option<Mine>>,
}

/// The lock of this process, and the identity of its file.
struct Mine {
    file: FileId,
    locked: File,
}

impl Owners {
    pub(super) fn new(database: Option<&PathBuf>, me: String) -> Self {
        let folder = database.map(|path| beside(path, "-owners"));
        let database = database.cloned().unwrap_or_default();
        Self { folder, database, me, mine: Mutex::new(None) }
    }

    pub(super) fn me(&self) -> &str {
        &self.me
    }

    /// Shows that this process lives, from now until it ends. Idempotent; makes the file again if
    /// somebody has removed or replaced it. A file system without locks can show nothing, so leases end
    /// by their expiry there. If this makes its file, it also removes the files of ended owners. It
    /// keeps a file if `has_leases` says that its owner still has leases, because the file shows that
    /// they can be freed.
    ///
    /// # Errors
    /// `ReadOnly`, with the folder and its owner, if the folder belongs to another user; `StorageFull`,
    /// `Io`.
    pub(super) fn register(&self, has_leases: impl Fn(&str) -> bool) -> Result<(), WorldError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let is_new = self.register_in(folder);
        if is_new.map_err(|error| lock_files_refused(folder, &error))? {
            self.sweep(folder, has_leases);
        }
        Ok(())
    }

    /// Returns whether the file was made.
    fn register_in(&self, folder: &Path) -> io::Result<bool> {
        let mut mine = lock(&self.mine);
        let path = folder.join(&self.me);
        if let Some(mine) = &*mine
            && FileId::at(&path).is_ok_and(|file| file == mine.file)
        {
            return Ok(false);
        }
        // Exactly the users of the database may use its locks.
        let access = SameAccess::as_has(&self.database)?;
        access.make_folder(folder)?;
        loop {
            let locked = access.make_file(&path)?;
            match locked.lock() {
                Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
                _ => {}
            }
            // Another process may have removed the file before it was locked.
            if let Some(file) = still_at(&path, &locked) {
                *mine = Some(Mine { file, locked });
                return Ok(true);
            }
        }
    }

    /// Removes the files of ended owners without leases. A later call removes files that cannot be
    /// removed now.
    fn sweep(&self, folder: &Path, has_leases: impl Fn(&str) -> bool) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            // The claim of the host, and its passing files, have names that begin with this.
            let is_owner = |name: &&str| !name.starts_with(host_claim::FILE);
            let Some(owner) = name.to_str().filter(is_owner) else { continue };
            let Ok(file) = File::open(entry.path()) else { continue };
            // A living owner has this lock alone. While it is held here, no owner of this name can start.
            // It is shared, so that others who look at the same time see that the owner has ended.
            if owner == self.me || file.try_lock_shared().is_err() {
                continue;
            }
            if still_at(&entry.path(), &file).is_some() && !has_leases(owner) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Whether an owner may still be alive. It has ended if its file exists and the lock is free,
    /// because the file is removed only after its leases have been freed. Otherwise the expiry of its
    /// leases decides: somebody may have removed the file of a living owner, and a file system may have
    /// no locks.
    pub(super) fn is_alive(&self, owner: &str) -> bool {
        let Some(folder) = &self.folder else { return true };
        let Ok(file) = File::open(folder.join(owner)) else { return true };
        match file.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        }
    }

    /// The names of the living owners; none for a database in memory.
    pub(super) fn living(&self) -> Result<Vec<String>, WorldError> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let living = living(&self.database);
        let living = living.map_err(|error| lock_files_refused(folder, &error))?;
        Ok(living.into_iter().map(|worker| worker.lease_owner).collect())
    }

    /// Removes the file of an ended owner whose leases have been freed.
    pub(super) fn forget(&self, owner: &str) {
        if let Some(folder) = &self.folder {
            let _ = fs::remove_file(folder.join(owner));
        }
    }

    /// Replaces the report of this process in its lock file, by one write, so that nobody reads an empty
    /// or a mixed one. Spaces cover the end of a longer report.
    pub(super) fn show(&self, report: &str) -> io::Result<()> {
        if self.folder.is_none() {
            return Ok(());
        }
        let mine = lock(&self.mine);
        let mut file = mine.as_ref().map(|mine| &mine.locked).ok_or(io::ErrorKind::NotFound)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let spaces = length.min(REPORT_BYTES_MAX as usize).saturating_sub(report.len());
        file.rewind()?;
        file.write_all(format!("{report}{}", " ".repeat(spaces)).as_bytes())
    }

    /// Shows that this process no longer claims. If it still holds leases, its file stays, so that
    /// others see that it has ended.
    pub(super) fn deregister(&self, has_no_leases: bool) {
        if lock(&self.mine).take().is_some() && has_no_leases {
            self.forget(&self.me);
        }
    }
}

/// The identity of an open file, if its path still names it.
fn still_at(path: &Path, file: &File) -> Option<FileId> {
    let named = FileId::at(path).ok()?;
    match FileId::of(file) {
        // If files have no identity, an open file cannot be replaced.
        Ok(id) => id.is_none_or(|id| id == named).then_some(named),
        Err(_) => None,
    }
}

/// The living owners, with their reports if these can be read. Changes nothing.
pub(super) fn living(database: &Path) -> io::Result<Vec<Worker>> {
    let mut living = Vec::new();
    let entries = match fs::read_dir(beside(database, "-owners")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(living),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        // This file names the host that has the database. All processes of that host lock it shared.
        if entry.file_name() == host_claim::FILE {
            continue;
        }
        // The owner has ended if its file is gone.
        let Ok(file) = File::open(entry.path()) else { continue };
        if file.try_lock_shared().is_ok() {
            continue;
        }
        let mut report = String::new();
        // On Windows nobody else can read a locked file.
        let read = file.take(REPORT_BYTES_MAX).read_to_string(&mut report);
        let lease_owner = entry.file_name().to_string_lossy().into_owned();
        let report = read.ok().map(|_| report.trim_end().to_owned());
        let report = report.filter(|report| !report.is_empty());
        living.push(Worker { lease_owner, report });
    }
    Ok(living)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(of: &[&str]) -> (tempfile::TempDir, Vec<Owners>) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        fs::write(&database, "").unwrap();
        let owners = of.iter().map(|me| Owners::new(Some(&database), (*me).into())).collect();
        (folder, owners)
    }

    /// No owner has leases.
    fn none(_: &str) -> bool {
        false
    }

    fn files(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path().join("a.db-owners")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn the_files_of_owners_that_ended_without_leases_are_removed_by_the_next_one() {
        let (folder, owners) = owners(&["dead", "dead with leases", "alive", "next"]);
        let [dead, with_leases, alive, next] = &owners[..] else { unreachable!() };
        for owner in [dead, with_leases, alive] {
            owner.register(|_| true).unwrap();
        }
        fs::write(folder.path().join("a.db-owners").join(host_claim::FILE), "").unwrap();
        dead.deregister(false);
        with_leases.deregister(false);
        next.register(|owner| owner == "dead with leases").unwrap();
        assert_eq!(files(&folder), ["alive", "dead with leases", host_claim::FILE, "next"]);
        assert!(!next.is_alive("dead with leases"), "its leases can be freed");
        assert!(next.is_alive("alive"));
    }

    #[test]
    fn an_owner_that_begins_while_others_sweep_keeps_its_file() {
        let (folder, owners) = owners(&["sweeper"]);
        let locks = folder.path().join("a.db-owners");
        owners[0].register(none).unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    owners[0].sweep(&locks, none);
                }
            });
            for number in 0..200 {
                let me = format!("owner-{number}");
                let owner = Owners::new(Some(&folder.path().join("a.db")), me.clone());
                let registered = owner.register(none);
                let has_file = locks.join(&me).exists();
                if number == 199 || registered.is_err() || !has_file {
                    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
                }
                registered.unwrap();
                assert!(has_file, "{me}");
            }
        });
    }

    #[test]
    fn an_owner_lives_as_long_as_its_lock() {
        let (folder, owners) = owners(&["worker", "observer"]);
        let [worker, observer] = &owners[..] else { unreachable!() };
        worker.register(none).unwrap();
        worker.register(none).unwrap();
        assert!(observer.is_alive("worker"));
        worker.deregister(false);
        assert!(!observer.is_alive("worker"));
        assert!(!observer.is_alive("worker"), "until its leases have been freed");
        observer.forget("worker");
        assert_eq!(fs::read_dir(folder.path().join("a.db-owners")).unwrap().count(), 0);
    }

    #[test]
    fn an_owner_that_lives_is_seen_with_what_it_said_last() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        fs::write(&database, "").unwrap();
        assert_eq!(living(&database).unwrap(), []);
        let worker = Owners::new(Some(&database), "worker".into());
        assert!(worker.show("too early").is_err());
        worker.register(none).unwrap();
        worker.show("a long report").unwrap();
        worker.show("a report").unwrap();
        // A dead owner left this file.
        fs::write(beside(&database, "-owners").join("dead"), "").unwrap();
        let seen = Worker { lease_owner: "worker".into(), report: Some("a report".into()) };
        assert_eq!(living(&database).unwrap(), [seen]);
        assert!(beside(&database, "-owners").join("dead").exists(), "who looks changes nothing");
        worker.deregister(true);
        assert_eq!(living(&database).unwrap(), []);
    }

    #[test]
    fn an_owner_that_ended_without_leases_leaves_nothing() {
        let (folder, owners) = owners(&["worker"]);
        owners[0].register(none).unwrap();
        owners[0].deregister(true);
        assert_eq!(fs::read_dir(folder.path().join("a.db-owners")).unwrap().count(), 0);
    }

    #[test]
    fn an_owner_whose_file_was_removed_or_replaced_may_be_alive_and_shows_itself_again() {
        let (folder, owners) = owners(&["worker", "observer"]);
        let [worker, observer] = &owners[..] else { unreachable!() };
        let locks = folder.path().join("a.db-owners");
        worker.register(none).unwrap();
        fs::remove_dir_all(&locks).unwrap();
        assert!(observer.is_alive("worker"));
        worker.register(none).unwrap();
        assert!(observer.is_alive("worker"));
        fs::remove_file(locks.join("worker")).unwrap();
        fs::write(locks.join("worker"), "").unwrap();
        worker.register(none).unwrap();
        assert!(observer.is_alive("worker"));
    }
}
