//! Which file it is, whatever its names.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// One file of this host: two names of it have one identity, and a file that takes the place of
/// another has one of its own. Where the system tells of no identity it is the resolved path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileId {
    /// Device and inode.
    Inode(u64, u64),
    /// The resolved path.
    Path(PathBuf),
}

impl FileId {
    /// Of what is there now.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        match Self::by_inode(&fs::metadata(path)?) {
            Some(id) => Ok(id),
            None => Ok(Self::Path(fs::canonicalize(path)?)),
        }
    }

    /// Of an open file, where files can tell.
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
