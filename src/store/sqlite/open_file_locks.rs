//! Locks that belong to an open file, on systems that have them.
//!
//! SQLite's own locks belong to the process: they are lost as soon as anything in it closes the file.
//! These stay until their own descriptor is closed. The two kinds exclude each other.

use std::ops::Range;

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub(super) use linux::*;
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub(super) use nowhere::*;

/// A range of bytes of a file, whether they exist or not.
pub(super) type Bytes = Range<i64>;

/// The result of a request for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locked {
    /// It is held.
    Held,
    /// Somebody else holds a lock that excludes it.
    Excluded,
    /// The file system has no such locks.
    Unsupported,
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod linux {
    use std::fs::File;

    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;

    use super::{Bytes, Locked};

    /// Takes a shared lock.
    pub(in super::super) fn share(file: &File, bytes: &Bytes) -> Locked {
        take(file, &lock_of(libc::F_RDLCK, bytes))
    }

    /// Takes an exclusive lock on a file that is open for writing.
    pub(in super::super) fn take_alone(file: &File, bytes: &Bytes) -> Locked {
        take(file, &lock_of(libc::F_WRLCK, bytes))
    }

    fn take(file: &File, lock: &libc::flock) -> Locked {
        match fcntl(file, FcntlArg::F_OFD_SETLK(lock)) {
            Ok(_) => Locked::Held,
            Err(Errno::EAGAIN | Errno::EACCES) => Locked::Excluded,
            Err(_) => Locked::Unsupported,
        }
    }

    /// Releases a lock.
    pub(in super::super) fn release(file: &File, bytes: &Bytes) {
        // It fails only if the lock could not be taken.
        let _ = fcntl(file, FcntlArg::F_OFD_SETLK(&lock_of(libc::F_UNLCK, bytes)));
    }

    /// Whether another open file holds a lock on one of these bytes.
    pub(in super::super) fn is_held_elsewhere(file: &File, bytes: &Bytes) -> bool {
        if bytes.is_empty() {
            return false;
        }
        let mut asked = lock_of(libc::F_WRLCK, bytes);
        fcntl(file, FcntlArg::F_OFD_GETLK(&mut asked)).is_ok()
            && i32::from(asked.l_type) != libc::F_UNLCK
    }

    fn lock_of(kind: i32, bytes: &Bytes) -> libc::flock {
        libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: bytes.start,
            l_len: bytes.end - bytes.start,
            // The system requires 0 for these locks.
            l_pid: 0,
        }
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod nowhere {
    use std::fs::File;

    use super::{Bytes, Locked};

    pub(in super::super) fn share(_file: &File, _bytes: &Bytes) -> Locked {
        Locked::Unsupported
    }

    pub(in super::super) fn take_alone(_file: &File, _bytes: &Bytes) -> Locked {
        Locked::Unsupported
    }

    pub(in super::super) fn release(_file: &File, _bytes: &Bytes) {}

    pub(in super::super) fn is_held_elsewhere(_file: &File, _bytes: &Bytes) -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux", target_pointer_width = "64"))]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_lock_is_seen_through_another_open_file_until_its_own_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "").unwrap();
        let [one, two] = [(); 2].map(|()| File::open(&path).unwrap());
        assert_eq!(share(&one, &(5..6)), Locked::Held);
        assert!(!is_held_elsewhere(&one, &(0..10)), "its own does not count");
        assert!(is_held_elsewhere(&two, &(0..10)));
        assert!(!is_held_elsewhere(&two, &(6..10)));
        drop(File::open(&path).unwrap());
        assert!(is_held_elsewhere(&two, &(5..6)), "closing another file drops nothing");
        release(&one, &(5..6));
        assert!(!is_held_elsewhere(&two, &(5..6)));
        assert_eq!(share(&one, &(5..6)), Locked::Held);
        drop(one);
        assert!(!is_held_elsewhere(&two, &(5..6)));
    }
}
