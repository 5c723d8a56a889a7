//! Reports writes to the log file as the host notices them. Until then, nobody needs to look.
//!
//! All processes that share a log run under one kernel, because they share its index in memory. So that
//! kernel notices every write.

use std::io;
use std::path::Path;
use std::time::Duration;

#[cfg(target_os = "linux")]
pub(super) use linux::LogActivity;
#[cfg(not(target_os = "linux"))]
pub(super) use nowhere::LogActivity;

#[cfg(target_os = "linux")]
mod linux {
    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
    use rustix::fd::{AsFd, OwnedFd};
    use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
    use rustix::io::{Errno, read, write};

    use super::super::log::log_path;
    use super::*;

    /// The writes to one log file.
    pub(in super::super) struct LogActivity {
        writes: OwnedFd,
        interrupt: OwnedFd,
    }

    impl LogActivity {
        /// Watches the log of this database.
        pub(in super::super) fn of(database: &Path) -> io::Result<Self> {
            let writes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            // SQLite follows links before it names the log.
            let log = log_path(&database.canonicalize()?);
            inotify::add_watch(&writes, &log, WatchFlags::MODIFY)?;
            let interrupt = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            Ok(Self { writes, interrupt })
        }

        /// Waits for a write since the last call, for an interruption, or for the end of the time.
        /// Returns `true` for a write.
        pub(in super::super) fn wait(&self, at_most: Duration) -> io::Result<bool> {
            let of_poll = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
            let mut awaited = [of_poll(self.writes.as_fd()), of_poll(self.interrupt.as_fd())];
            let at_most = Timespec::try_from(at_most).map_err(io::Error::other)?;
            match poll(&mut awaited, Some(&at_most)) {
                Ok(_) => {}
                Err(Errno::INTR) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            let written = !awaited[0].revents().is_empty();
            drain(&self.writes)?;
            drain(&self.interrupt)?;
            Ok(written)
        }

        /// Ends the current wait, or else the next one.
        pub(in super::super) fn interrupt(&self) {
            // It fails only if it is full of interruptions.
            let _ = write(&self.interrupt, &1_u64.to_ne_bytes());
        }
    }

    fn drain(from: &OwnedFd) -> io::Result<()> {
        let mut bytes = [0_u8; 1024];
        loop {
            match read(from, &mut bytes) {
                Ok(0) | Err(Errno::WOULDBLOCK) => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod nowhere {
    use super::*;

    /// This system does not report writes.
    pub(in super::super) enum LogActivity {}

    impl LogActivity {
        pub(in super::super) fn of(_database: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(in super::super) fn wait(&self, _at_most: Duration) -> io::Result<bool> {
            match *self {}
        }

        pub(in super::super) fn interrupt(&self) {
            match *self {}
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn log_of(folder: &Path) -> (LogActivity, std::path::PathBuf) {
        let log = folder.join("a.db-wal");
        std::fs::write(folder.join("a.db"), "").unwrap();
        std::fs::write(&log, "").unwrap();
        (LogActivity::of(&folder.join("a.db")).unwrap(), log)
    }

    #[test]
    fn a_write_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let (activity, log) = log_of(folder.path());
        assert!(!activity.wait(Duration::ZERO).unwrap());
        std::fs::write(&log, "frames").unwrap();
        std::fs::write(&log, "more frames").unwrap();
        assert!(activity.wait(LONG).unwrap());
        assert!(!activity.wait(Duration::ZERO).unwrap());
    }

    #[test]
    fn an_interruption_ends_the_wait_and_is_no_write() {
        let folder = tempfile::tempdir().unwrap();
        let (activity, _) = log_of(folder.path());
        activity.interrupt();
        assert!(!activity.wait(LONG).unwrap());
    }

    #[test]
    fn the_log_of_a_linked_database_is_the_one_of_its_target() {
        let folder = tempfile::tempdir().unwrap();
        let (_, log) = log_of(folder.path());
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(folder.path().join("a.db"), &link).unwrap();
        let activity = LogActivity::of(&link).unwrap();
        std::fs::write(&log, "frames").unwrap();
        assert!(activity.wait(LONG).unwrap());
    }
}
