//! Whether the files of an open database are still what its paths name.
//!
//! A file that was removed or replaced goes on to exist for whoever has it open, and takes writes that
//! nobody will ever read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::file_id::FileId;
use super::host_claim::HostClaim;
use super::log;
use super::resolve::beside;
use crate::clock::Clock;
use crate::error::{ErrorKind, WorldError};

/// How long a look holds for those that only read.
const LOOK_EVERY_MS: i64 = 100;

/// The files as they were opened.
pub(super) struct Presence {
    /// The database, its log and the index of that, or nothing for a database in memory and where open files cannot be
    /// removed.
    opened: Vec<(PathBuf, FileId)>,
    /// That this host may write them; `None` for whoever does not.
    claim: Option<Arc<HostClaim>>,
    gone: AtomicBool,
    clock: Arc<dyn Clock>,
    /// By what has elapsed; `i64::MIN` before the first look.
    looked_at_ms: AtomicI64,
}

impl Presence {
    /// Of what has just been opened.
    ///
    /// # Errors
    /// As [`Presence::check`], when it is another file than this one already.
    pub(super) fn of(
        database: &Path,
        opened: &FileId,
        claim: Option<Arc<HostClaim>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WorldError> {
        let mut files = Vec::new();
        if cfg!(unix) {
            files.push((database.to_owned(), opened.clone()));
            let log = log::log_path(database);
            // A reader that nobody shares the log with has none.
            let index = beside(database, "-shm");
            for file in [log, index] {
                files.extend(FileId::at(&file).ok().map(|id| (file, id)));
            }
        }
        let presence = Self { claim, ..Self::watching(files, clock) };
        presence.check().map(|()| presence)
    }

    /// Of a database in memory.
    pub(super) fn of_memory(clock: Arc<dyn Clock>) -> Self {
        Self::watching(Vec::new(), clock)
    }

    fn watching(opened: Vec<(PathBuf, FileId)>, clock: Arc<dyn Clock>) -> Self {
        let (gone, looked_at_ms) = (AtomicBool::new(false), AtomicI64::new(i64::MIN));
        Self { opened, claim: None, gone, clock, looked_at_ms }
    }

    /// Looks whether the files are there. Once they are not, nothing is right again.
    ///
    /// # Errors
    /// `Io`, for good.
    pub(super) fn check(&self) -> Result<(), WorldError> {
        self.refuse_if_gone()?;
        if self.opened.iter().any(|(path, opened)| is_gone(path, opened)) {
            self.gone.store(true, Ordering::Relaxed);
        }
        self.refuse_if_gone()
    }

    /// The same, for whoever writes: this host must have the database, too.
    ///
    /// # Errors
    /// As [`Presence::check`] and [`HostClaim::check`].
    pub(super) fn check_to_write(&self) -> Result<(), WorldError> {
        self.refuse_to_write()?;
        self.check()
    }

    /// Whether this host has the database.
    ///
    /// # Errors
    /// As [`HostClaim::check`].
    pub(super) fn check_claim(&self) -> Result<(), WorldError> {
        self.claim.as_ref().map_or(Ok(()), |claim| claim.check())
    }

    /// Says whether one may begin to write.
    ///
    /// # Errors
    /// As [`Presence::check_to_write`].
    pub(super) fn refuse_to_write(&self) -> Result<(), WorldError> {
        self.check_claim()?;
        self.refuse_if_gone()
    }

    /// [`Presence::check`], unless somebody has just looked.
    pub(super) fn check_now_and_then(&self) -> Result<(), WorldError> {
        if !self.opened.is_empty() {
            let now_ms = self.clock.elapsed_ms();
            let looked_at_ms = self.looked_at_ms.load(Ordering::Relaxed);
            if now_ms.saturating_sub(looked_at_ms) >= LOOK_EVERY_MS {
                self.looked_at_ms.store(now_ms, Ordering::Relaxed);
                return self.check();
            }
        }
        self.refuse_if_gone()
    }

    /// Says what the last look has found.
    ///
    /// # Errors
    /// As [`Presence::check`].
    pub(super) fn refuse_if_gone(&self) -> Result<(), WorldError> {
        if let Some(claim) = &self.claim {
            claim.refuse_if_lost()?;
        }
        if !self.gone.load(Ordering::Relaxed) {
            return Ok(());
        }
        let message = "the database was removed or replaced while it was open, so hookline reads and \
                       writes nothing more: put the right file in its place, then start this \
                       process again";
        Err(WorldError::new(ErrorKind::Io, message).for_good())
    }
}

/// What cannot be looked at is not known to be gone.
fn is_gone(path: &Path, opened: &FileId) -> bool {
    match FileId::at(path) {
        Ok(id) => id != *opened,
        Err(error) => matches!(
            error.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::StaleNetworkFileHandle
        ),
    }
}
