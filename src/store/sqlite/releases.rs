//! Table `releases`.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::store::upkeep::KnownRelease;

/// The ids of all releases.
pub(super) fn ids(connection: &Connection) -> Result<HashSet<String>> {
    const IDS: &str = "SELECT release_id FROM releases";
    connection.prepare_cached(IDS)?.query_map([], |row| row.get(0))?.collect()
}

/// All releases, in the order in which they were first seen.
pub(super) fn all(connection: &Connection) -> Result<Vec<KnownRelease>> {
    const ALL: &str = "SELECT release_id, first_seen_ms, gone_at_ms FROM releases";
    let of_row = |row: &Row<'_>| {
        Ok(KnownRelease {
            release_id: row.get(0)?,
            first_seen_ms: row.get(1)?,
            gone_at_ms: row.get(2)?,
        })
    };
    let mut all: Vec<KnownRelease> =
        connection.prepare_cached(ALL)?.query_map([], of_row)?.collect::<Result<_>>()?;
    all.sort_by_key(|release| release.first_seen_ms);
    Ok(all)
}

/// Whether a release is gone; `None` if there is no such release.
pub(super) fn is_gone(connection: &Connection, release_id: &str) -> Result<Option<bool>> {
    const IS_GONE: &str = "SELECT gone_at_ms IS NOT NULL FROM releases WHERE release_id = ?";
    connection.prepare_cached(IS_GONE)?.query_row([release_id], |row| row.get(0)).optional()
}

pub(super) fn mark_gone(connection: &Connection, release_id: &str, now_ms: i64) -> Result<()> {
    const MARK: &str = "UPDATE releases SET gone_at_ms = ?2 WHERE release_id = ?1";
    connection.prepare_cached(MARK)?.execute(params![release_id, now_ms])?;
    Ok(())
}

/// Notes that a release is there: a process of it claims.
pub(super) fn is_here(connection: &Connection, release_id: &str, now_ms: i64) -> Result<()> {
    const BACK: &str =
        "UPDATE releases SET gone_at_ms = NULL WHERE release_id = ? AND gone_at_ms IS NOT NULL";
    note(connection, release_id, now_ms)?;
    connection.prepare_cached(BACK)?.execute([release_id])?;
    Ok(())
}

/// Notes that an id is a release.
pub(super) fn note(connection: &Connection, release_id: &str, now_ms: i64) -> Result<()> {
    const NOTE: &str = "INSERT INTO releases (release_id, first_seen_ms) VALUES (?, ?) \
         ON CONFLICT (release_id) DO NOTHING";
    connection.prepare_cached(NOTE)?.execute(params![release_id, now_ms])?;
    Ok(())
}
