//! Maps SQLite's errors to ours.

use std::path::Path;

use rusqlite::ErrorCode;

use super::checksum::Damage;
use crate::error::{ErrorKind, WorldError};

impl From<rusqlite::Error> for WorldError {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(failure, ref text) = error else {
            return not_of_sqlite(&error);
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
                "this process may not write the database file or its folder; check their owner and mode",
            ),
            ErrorCode::CannotOpen => (
                ErrorKind::CannotOpen,
                "the database cannot be opened; check that the path names a file in a folder that may be written",
            ),
            ErrorCode::DatabaseCorrupt => (ErrorKind::Corrupt, DAMAGED),
            // We bind values of the right types, so the cause is an unfit value in the row.
            ErrorCode::ConstraintViolation if ROW_UNFIT.contains(&failure.extended_code) => {
                (ErrorKind::Corrupt, DAMAGED)
            }
            // SQLite may also compile a statement while it runs.
            _ if text.as_deref().is_some_and(is_of_changed_schema) => (ErrorKind::Corrupt, DAMAGED),
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

/// `SQLITE_CONSTRAINT_CHECK` and `SQLITE_CONSTRAINT_DATATYPE`.
const ROW_UNFIT: [i32; 2] = [275, 3091];

const DAMAGED: &str = "the database file is damaged; restore it from a backup";

/// Whether SQLite's text says that the schema has been changed: our statements match our schema.
fn is_of_changed_schema(text: &str) -> bool {
    // An index that a statement names may no longer serve it.
    text.starts_with("no such ") || text == "no query solution"
}

/// An error from reading a row: it differs from what was written, or it cannot be a row of ours.
fn not_of_sqlite(error: &rusqlite::Error) -> WorldError {
    use rusqlite::Error as E;
    if let E::FromSqlConversionFailure(_, _, cause) = error
        && let Some(damage) = cause.downcast_ref::<Damage>()
    {
        return WorldError::new(ErrorKind::Corrupt, format!("{DAMAGED} [{damage}]"))
            .with("table", damage.table)
            .with("key", damage.key.as_str());
    }
    if let E::SqlInputError { msg, .. } = error
        && is_of_changed_schema(msg)
    {
        return WorldError::new(ErrorKind::Corrupt, format!("{DAMAGED} [{msg}]"));
    }
    match error {
        E::FromSqlConversionFailure(..)
        | E::InvalidColumnType(..)
        | E::IntegralValueOutOfRange(..)
        | E::Utf8Error(..)
        | E::QueryReturnedNoRows => {
            WorldError::new(ErrorKind::Corrupt, format!("{DAMAGED} [{error}]"))
        }
        _ => WorldError::new(ErrorKind::Internal, format!("the database answered: {error}")),
    }
}

/// Adds the path of the database to a storage fault.
pub(super) fn at(error: WorldError, path: &Path) -> WorldError {
    if !error.kind.is_storage_fault() {
        return error;
    }
    let message = format!("{}: {}", path.display(), error.message);
    WorldError { message, ..error }.with("path", path.display().to_string())
}
