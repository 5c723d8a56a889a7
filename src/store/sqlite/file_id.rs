//! The identity of a file, independent of its names.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// Identifies one file of this host. Two names of a file have one identity, and a file that replaces
/// another has its own. If the system gives no identity, the resolved path is used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileId {
    /// Device and inode.
    Inode(u64, u64),
    /// The resolved path.
    Path(PathBuf),
}

impl FileId {
    /// The identity of the file that is at `path` now.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Some(id) = Self::asked_for_alone(path)? {
            return Ok(id);
        }
        match Self::by_inode(&fs::metadata(path)?) {
            Some(id) => Ok(id),
            None => Ok(Self::Path(fs::canonicalize(path)?)),
        }
    }

    /// The identity, read without the times of the file. Once a process has asked for a file's time,
    /// Linux keeps that time exactly, so the next sync would write the inode too. `None` if the kernel
    /// does not support this.
    #[cfg(target_os = "linux")]
    fn asked_for_alone(path: &Path) -> io::Result<Option<Self>> {
        use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
        match statx(CWD, path, AtFlags::empty(), StatxFlags::INO) {
            Ok(file) => {
                let device = makedev(file.stx_dev_major, file.stx_dev_minor);
                Ok(Some(Self::Inode(device, file.stx_ino)))
            }
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The identity of an open file, if the system gives one.
    pub(super) fn of(file: &File) -> io::Result<Option<Self>> {
        Ok(Self::by_inode(&file.metadata()?))
    }

    #[cfg(unix)]
    fn by_inode(file: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self::Inode(file.dev(), file.ino()))
    }

    #[cfg(not(unix))]
    fn by_inode(_file: &Metadata) -> Option<Self> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_identity_by_its_name_and_by_its_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "").unwrap();
        let id = FileId::at(&path).unwrap();
        assert_eq!(FileId::of(&File::open(&path).unwrap()).unwrap(), Some(id.clone()));
        assert_eq!(FileId::by_inode(&fs::metadata(&path).unwrap()), Some(id));
        let missing = FileId::at(&folder.path().join("b")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
