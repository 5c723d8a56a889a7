//! Examines a database with SQLite's own check and the checksums of all rows.

use rusqlite::{Connection, Error, Result};

use super::checksum::Check;
use super::{events, hooks, keys, messages, migrate, resume_keys, runs, steps, streams, waits};
use crate::error::{ErrorKind, WorldError};
use crate::store::upkeep::{Examination, FileExamination};

/// The most damages that are listed. More would tell nothing new.
const DAMAGES_MAX: usize = 20;

const CHECKS: [Check; 10] = [
    runs::CHECK,
    events::CHECK,
    steps::CHECK,
    hooks::CHECK,
    resume_keys::CHECK,
    waits::CHECK,
    messages::CHECK,
    streams::CHECK,
    streams::CHECK_CHUNKS,
    keys::CHECK,
];

/// Examines the whole database.
pub(super) fn examine(connection: &Connection) -> std::result::Result<Examination, WorldError> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let page_bytes: i64 = number("page_size")?;
    let pages: i64 = number("page_count")?;
    let free_pages: i64 = number("freelist_count")?;
    Ok(Examination::Sqlite(FileExamination {
        sqlite_version: rusqlite::version().to_owned(),
        schema_version: number("user_version")?,
        journal_mode: connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?,
        bytes: page_bytes.saturating_mul(pages),
        free_bytes: page_bytes.saturating_mul(free_pages),
        damages: damages(connection)?,
    }))
}

/// The damages of the database, for people; empty if it is sound.
///
/// # Errors
/// A fault that hinders the examination and is no damage.
pub(super) fn damages(connection: &Connection) -> std::result::Result<Vec<String>, WorldError> {
    let mut damages = Vec::new();
    note(&mut damages, of_structure(connection))?;
    note(&mut damages, migrate::strange_tables(connection))?;
    for check in &CHECKS {
        note(&mut damages, of_rows(connection, check))?;
    }
    damages.truncate(DAMAGES_MAX);
    Ok(damages)
}

/// Notes a damage that ended one check as a finding. The next check may find more.
fn note(
    damages: &mut Vec<String>,
    found: Result<Vec<String>>,
) -> std::result::Result<(), WorldError> {
    match found.map_err(WorldError::from) {
        Ok(found) => damages.extend(found),
        Err(error) if error.kind == ErrorKind::Corrupt => damages.push(error.message),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn of_structure(connection: &Connection) -> Result<Vec<String>> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({DAMAGES_MAX})"))?;
    let lines: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

fn of_rows(connection: &Connection, check: &Check) -> Result<Vec<String>> {
    let mut statement = connection.prepare(check.rows)?;
    let mut rows = statement.query([])?;
    let mut damages = Vec::new();
    while let Some(row) = rows.next()?
        && damages.len() < DAMAGES_MAX
    {
        match (check.verify)(row) {
            Ok(()) => {}
            Err(Error::FromSqlConversionFailure(_, _, damage)) => damages.push(damage.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(damages)
}
