//! Table `erasures`: whether the log still holds values that were dropped.
//!
//! The transaction that drops values counts here, so that another process erases them if this one dies.

use rusqlite::{Connection, OptionalExtension, Result};

/// Counts one drop of values.
pub(super) fn ask(connection: &Connection) -> Result<()> {
    const ASK: &str = "UPDATE erasures SET asked = asked + 1";
    connection.prepare_cached(ASK)?.execute([])?;
    Ok(())
}

/// How many drops there were; `None` if all are erased.
pub(super) fn pending(connection: &Connection) -> Result<Option<i64>> {
    const PENDING: &str = "SELECT asked FROM erasures WHERE asked > done";
    connection.prepare_cached(PENDING)?.query_row([], |row| row.get(0)).optional()
}

/// Notes that the first so many drops are erased.
pub(super) fn note_done(connection: &Connection, asked: i64) -> Result<()> {
    const DONE: &str = "UPDATE erasures SET done = max(done, ?)";
    connection.prepare_cached(DONE)?.execute([asked])?;
    Ok(())
}
