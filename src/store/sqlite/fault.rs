//! SQLite's errors in our words.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::{ErrorKind, WorldError};

impl From<rusqlite::Error> for WorldError {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, ref text) = error else {
            return WorldError::new(ErrorKind::Internal, format!("the database answered: {error}"));
        };
        let (kind, advice) = match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                (ErrorKind::Busy, "another process holds the database; try again")
            }
            ErrorCode::DiskFull => {
                (ErrorKind::StorageFull, "the disk is full; free some space, nothing was written")
            }
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => (
                ErrorKind::ReadOnly,
                "the database file or its folder may not be written; check its owner and mode",
            ),
            ErrorCode::CannotOpen => (
                ErrorKind::CannotOpen,
                "the database cannot be opened; check that the path names a file in a folder that may be written",
            ),
            ErrorCode::DatabaseCorrupt => {
                (ErrorKind::Corrupt, "the database file is damaged; restore it from a backup")
            }
            ErrorCode::NotADatabase => {
                (ErrorKind::ForeignFile, "the file is not a SQLite database; choose another path")
            }
            ErrorCode::SystemIoFailure => (
                ErrorKind::Io,
                "the operating system failed to read or write the database; check the disk and its free space",
            ),
            _ => (ErrorKind::Internal, "unexpected answer of the database"),
        };
        let detail = text.clone().unwrap_or_else(|| failure.to_string());
        WorldError::new(kind, format!("{advice} [{detail}]"))
            .with("sqliteCode", failure.extended_code)
    }
}

/// Says where the database of a storage fault is.
pub(super) fn at(error: WorldError, path: &Path) -> WorldError {
    if !error.kind.is_storage_fault() {
        return error;
    }
    let message = format!("{}: {}", path.display(), error.message);
    WorldError { message, ..error }.with("path", path.display().to_string())
}
