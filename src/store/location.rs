//! Where a database is.

use super::postgres::PostgresLocation;
use super::sqlite;

/// A database of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file, or memory.
    Sqlite(sqlite::Location),
    /// A schema of a Postgres server.
    Postgres(PostgresLocation),
}

impl Location {
    /// Whether there is nothing to read yet, as far as can be known without opening it.
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Sqlite(location) => location.is_absent(),
            Self::Postgres(_) => false,
        }
    }
}
