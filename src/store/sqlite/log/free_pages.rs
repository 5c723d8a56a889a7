//! Gives free pages back to the file system while the database is in use.
//!
//! SQLite moves the last pages of the file into free ones, and the next checkpoint shortens the file.
//! Each step is its own transaction, so that nobody waits for long.

use rusqlite::Connection;

use crate::error::WorldError;

/// Free pages that the file keeps (8 MiB), because the queue frees and takes pages all the time.
const KEPT_PAGES_MIN: i64 = 2000;
/// A large file keeps this percentage of its pages.
const KEPT_PERCENT: i64 = 5;
/// Pages that one step gives back, which takes a few milliseconds.
const STEP_PAGES: i64 = 64;

/// Whether so many pages are free that giving some back is worth it.
///
/// # Errors
/// Storage faults.
pub(super) fn are_many(connection: &Connection) -> Result<bool, WorldError> {
    let (free, kept) = free_and_kept(connection)?;
    Ok(free > 2 * kept)
}

/// Gives a few pages back. `writing` has no transaction. Returns whether more can be given back.
///
/// # Errors
/// Storage faults; the pages then stay free.
pub(super) fn give_back_some(writing: &Connection) -> Result<bool, WorldError> {
    let mut step = writing.prepare_cached(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    let mut pages = step.raw_query();
    while pages.next()?.is_some() {}
    let (free, kept) = free_and_kept(writing)?;
    Ok(free > kept)
}

fn free_and_kept(connection: &Connection) -> Result<(i64, i64), WorldError> {
    let count = |pragma: &str| {
        let mut statement = connection.prepare_cached(pragma)?;
        statement.query_row([], |row| row.get::<_, i64>(0))
    };
    let (free, pages) = (count("PRAGMA freelist_count")?, count("PRAGMA page_count")?);
    Ok((free, KEPT_PAGES_MIN.max(pages * KEPT_PERCENT / 100)))
}
