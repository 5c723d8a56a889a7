//! Table `releases`.

use std::collections::HashSet;

use rusqlite::{Connection, Result, params};

/// The ids of all releases.
pub(super) fn ids(connection: &Connection) -> Result<HashSet<String>> {
    const IDS: &str = "SELECT release_id FROM releases";
    connection.prepare_cached(IDS)?.query_map([], |row| row.get(0))?.collect()
}

/// Notes that an id is a release.
pub(super) fn note(connection: &Connection, release_id: &str, now_ms: i64) -> Result<()> {
    const NOTE: &str = "INSERT INTO releases (release_id, first_seen_ms) VALUES (?, ?) \
         ON CONFLICT (release_id) DO NOTHING";
    connection.prepare_cached(NOTE)?.execute(params![release_id, now_ms])?;
    Ok(())
}
