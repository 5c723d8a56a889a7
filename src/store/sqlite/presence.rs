//! Checks whether the paths of an open database still name its files.
//!
//! A file that was removed or replaced still exists for the processes that have it open. It accepts
//! writes that nobody will ever read.

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

/// The validity of a check for connections that only read, in milliseconds.
const LOOK_EVERY_MS: i64 = 100;

/// The files as they were opened.
pub(super) struct Presence {
    /// The database, its log and the log's index. Empty for a database in memory, and on systems where
    /// open files cannot be removed.
    opened: Vec<(PathBuf, FileId)>,
    /// The claim by which this host may write the files; `None` for a store that only reads.
    claim: Option<Arc<HostClaim>>,
    gone: AtomicBool,
    clock: Arc<dyn Clock>,
    /// By the monotonic clock; `i64::MIN` before the first check.
    looked_at_ms: AtomicI64,
}

impl Presence {
    /// The files that have just been opened.
    ///
    /// # Errors
    /// As [`Presence::check`], if a file has already been replaced.
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
            // A reader has no index if no other process uses the log.
            let index = beside(database, "-shm");
            for file in [log, index] {
                files.extend(FileId::at(&file).ok().map(|id| (file, id)));
            }
        }
        let presence = Self { claim, ..Self::watching(files, clock) };
        presence.check().map(|()| presence)
    }

    /// For a database in memory.
    pub(super) fn of_memory(clock: Arc<dyn Clock>) -> Self {
        Self::watching(Vec::new(), clock)
    }

    fn watching(opened: Vec<(PathBuf, FileId)>, clock: Arc<dyn Clock>) -> Self {
        let (gone, looked_at_ms) = (AtomicBool::new(false), AtomicI64::new(i64::MIN));
        Self { opened, claim: None, gone, clock, looked_at_ms }
    }

    /// Checks that the files are there. Once they are not, every later check fails.
    ///
    /// # Errors
    /// `Io`, for ever.
    pub(super) fn check(&self) -> Result<(), WorldError> {
        self.refuse_if_gone()?;
        if self.opened.iter().any(|(path, opened)| is_gone(path, opened)) {
            self.gone.store(true, Ordering::Relaxed);
        }
        self.refuse_if_gone()
    }

    /// Checks the files as [`Presence::check`] does, and that this host has the database, so it may
    /// write.
    ///
    /// # Errors
    /// As [`Presence::check`] and [`HostClaim::check`].
    pub(super) fn check_to_write(&self) -> Result<(), WorldError> {
        self.refuse_to_write()?;
        self.check()
    }

    /// Checks that this host has the database.
    ///
    /// # Errors
    /// As [`HostClaim::check`].
    pub(super) fn check_claim(&self) -> Result<(), WorldError> {
        self.claim.as_ref().map_or(Ok(()), |claim| claim.check())
    }

    /// Refuses if a write may not begin.
    ///
    /// # Errors
    /// As [`Presence::check_to_write`].
    pub(super) fn refuse_to_write(&self) -> Result<(), WorldError> {
        self.check_claim()?;
        self.refuse_if_gone()
    }

    /// Calls [`Presence::check`], unless the last check is recent.
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

    /// Refuses if the last check found the files gone.
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

/// Whether the path no longer names the opened file. A file that cannot be examined counts as present.
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
