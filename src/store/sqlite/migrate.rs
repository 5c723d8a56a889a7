//! The schema: numbered migrations with checksums. They are embedded and run at opening, forward only.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::fnv::fnv_1a;
use crate::error::{ErrorKind, WorldError};
use crate::store::moving::moved;

/// SQLite's application id of our files: "Hkln".
pub const APPLICATION_ID: i32 = 0x486b_6c6e;

/// Older libraries can lose pages if a commit resets the WAL while another connection checkpoints
/// (sqlite.org/wal.html#walresetbug). We use WAL with several connections.
pub const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// The schema's number of a file that was moved. Whoever has it open then notices before it writes.
const MOVED: i64 = -1;

struct Migration {
    subject: &'static str,
    sql: &'static str,
}

/// The migrations in order. The number of a migration is its place, from 1.
const MIGRATIONS: &[Migration] = &[Migration {
    subject: "initial",
    sql: include_str!("../../../migrations/sqlite/0001_initial.sql"),
}];

/// Refuses a SQLite library with a known defect.
///
/// # Errors
/// `OldSqlite`.
pub fn check_library(version_number: i32) -> Result<(), WorldError> {
    if version_number >= SQLITE_VERSION_MIN {
        return Ok(());
    }
    Err(WorldError::new(
        ErrorKind::OldSqlite,
        format!(
            "the SQLite library is {version_number}, but versions before {SQLITE_VERSION_MIN} can lose \
             data in WAL mode: build hookline with its bundled SQLite"
        ),
    ))
}

/// Migrates the schema to the current version, in one transaction.
///
/// # Errors
/// `ForeignFile` for a database that is not ours, `NewerDatabase` for one of a newer engine, `Corrupt`
/// if its history is not ours, and storage faults.
pub fn migrate(connection: &mut Connection, now_ms: i64) -> Result<(), WorldError> {
    if is_current(connection)? {
        return Ok(());
    }
    // This is only possible while the file has no page. Later it would take a VACUUM.
    if pragma(connection, "page_count")? == 0 {
        connection.pragma_update(None, "auto_vacuum", "incremental")?;
    }
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let done = check_history(&transaction)?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO migrations (number, subject, checksum, applied_at_ms) VALUES (?, ?, ?, ?)",
            (index as i64 + 1, migration.subject, checksum(migration.sql), now_ms),
        )?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    transaction.commit()?;
    Ok(())
}

/// Refuses a database that this engine cannot read without migrating it. Writes nothing.
///
/// # Errors
/// `CannotOpen` for an empty file and for an older schema, else as [`migrate`].
pub fn check(connection: &Connection) -> Result<(), WorldError> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application_id = pragma(connection, "application_id")?;
    if (application_id != 0 || tables != 0) && is_current(connection)? {
        return Ok(());
    }
    let (what, kind) = match (application_id, tables) {
        (0, 0) => ("the database is empty", ErrorKind::CannotOpen),
        _ if application_id == i64::from(APPLICATION_ID) => {
            ("the database was written by an older hookline", ErrorKind::CannotOpen)
        }
        _ => ("the file is a SQLite database of another program", ErrorKind::ForeignFile),
    };
    let message = format!("{what}; a reader changes nothing, so start a World that writes first");
    Err(WorldError::new(kind, message))
}

/// Whether the schema is current. Takes no write lock.
fn is_current(connection: &Connection) -> Result<bool, WorldError> {
    if pragma(connection, "application_id")? != i64::from(APPLICATION_ID) {
        return Ok(false);
    }
    Ok(check_history(connection)? == MIGRATIONS.len())
}

/// Refuses to continue with a database that a newer engine has migrated since it was opened. Within a
/// transaction this costs less than a microsecond.
///
/// # Errors
/// `NewerDatabase`; `Corrupt` if the file contradicts itself; storage faults.
pub(super) fn refuse_if_newer(connection: &Connection) -> Result<(), WorldError> {
    let mut statement = connection.prepare_cached("PRAGMA user_version")?;
    let version: i64 = statement.query_row([], |row| row.get(0))?;
    if version == MIGRATIONS.len() as i64 {
        return Ok(());
    }
    check_history(connection)?;
    Err(WorldError::new(
        ErrorKind::Corrupt,
        format!(
            "the database file is damaged: its schema is {version}, but its history of migrations says \
             otherwise; restore it from a backup"
        ),
    ))
}

/// Tables and indexes that differ from those that the migrations make, for people.
pub(super) fn strange_tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    const DEFINITIONS: &str = "SELECT type || ' ' || name, sql FROM sqlite_schema \
         WHERE sql IS NOT NULL ORDER BY name";
    let definitions = |connection: &Connection| -> rusqlite::Result<BTreeMap<String, String>> {
        let mut statement = connection.prepare(DEFINITIONS)?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let mut sound = Connection::open_in_memory()?;
    // This database is empty and only ours, so an error cannot occur.
    let _ = migrate(&mut sound, 0);
    let found = definitions(connection)?;
    let mut sound = definitions(&sound)?;
    // Tables that others have added are ignored.
    sound.retain(|name, sql| found.get(name) != Some(sql));
    Ok(sound.into_keys().map(|name| format!("{name} is not as hookline made it")).collect())
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, WorldError> {
    Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
}

/// The number of our migrations that have run. Makes the table in an empty file.
fn check_history(connection: &Connection) -> Result<usize, WorldError> {
    let application_id = pragma(connection, "application_id")?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application_id == 0 && tables == 0 {
        connection.execute_batch(
            "CREATE TABLE migrations (
               number INTEGER PRIMARY KEY,
               subject TEXT NOT NULL,
               checksum TEXT NOT NULL,
               applied_at_ms INTEGER NOT NULL
             ) STRICT",
        )?;
        return Ok(0);
    }
    if application_id != i64::from(APPLICATION_ID) {
        return Err(WorldError::new(
            ErrorKind::ForeignFile,
            "the file is a SQLite database of another program; choose another path",
        ));
    }
    if let Some(to) = moved_to(connection)? {
        return Err(moved(&to));
    }
    let mut statement =
        connection.prepare("SELECT number, checksum FROM migrations ORDER BY number")?;
    let history: Vec<(i64, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    compare_history(&history)
}

/// Where a file was moved to; `None` if it was not.
///
/// # Errors
/// Storage faults.
pub(super) fn moved_to(connection: &Connection) -> Result<Option<String>, WorldError> {
    match pragma(connection, "user_version")? {
        MOVED => Ok(Some(connection.query_row("SELECT place FROM moved", [], |row| row.get(0))?)),
        _ => Ok(None),
    }
}

/// Marks a file as moved, within a transaction.
///
/// # Errors
/// Storage faults.
pub(super) fn mark_moved(connection: &Connection, to: &str, now_ms: i64) -> Result<(), WorldError> {
    connection.execute("INSERT INTO moved VALUES (1, ?, ?)", (to, now_ms))?;
    Ok(connection.pragma_update(None, "user_version", MOVED)?)
}

/// Takes the mark back, within a transaction.
///
/// # Errors
/// Storage faults.
pub(super) fn unmark_moved(connection: &Connection) -> Result<(), WorldError> {
    connection.execute("DELETE FROM moved", [])?;
    Ok(connection.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?)
}

fn compare_history(history: &[(i64, String)]) -> Result<usize, WorldError> {
    if history.len() > MIGRATIONS.len() {
        return Err(WorldError::new(
            ErrorKind::NewerDatabase,
            format!(
                "the database was written by a newer hookline (schema {}, this one knows {}); \
                 upgrade hookline, or open another file",
                history.len(),
                MIGRATIONS.len()
            ),
        ));
    }
    for (index, (number, sum)) in history.iter().enumerate() {
        if *number != index as i64 + 1 || *sum != checksum(MIGRATIONS[index].sql) {
            return Err(WorldError::new(
                ErrorKind::Corrupt,
                format!(
                    "migration {number} of the database is not the migration that this hookline ships; \
                     a modified build made it: restore a backup or open another file"
                ),
            ));
        }
    }
    Ok(history.len())
}

/// Detects an edited migration. It need not resist attacks.
fn checksum(sql: &str) -> String {
    format!("{:016x}", fnv_1a(sql.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrated() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 1).unwrap();
        connection
    }

    #[test]
    fn an_empty_file_becomes_ours_and_stays_as_it_is_the_second_time() {
        let mut connection = migrated();
        migrate(&mut connection, 2).unwrap();
        let applied: i64 = connection
            .query_row("SELECT max(applied_at_ms) FROM migrations", [], |row| row.get(0))
            .unwrap();
        assert_eq!(applied, 1);
    }

    #[test]
    fn a_database_of_another_program_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert_eq!(migrate(&mut connection, 1).unwrap_err().kind, ErrorKind::ForeignFile);
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 1);
    }

    #[test]
    fn a_database_of_a_newer_engine_is_refused() {
        let mut connection = migrated();
        connection
            .execute(
                "INSERT INTO migrations VALUES (?, 'later', 'x', 1)",
                [MIGRATIONS.len() as i64 + 1],
            )
            .unwrap();
        let error = migrate(&mut connection, 1).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NewerDatabase);
        assert!(error.message.contains("upgrade hookline"), "{}", error.message);
    }

    #[test]
    fn an_edited_history_is_refused() {
        let mut connection = migrated();
        connection.execute("UPDATE migrations SET checksum = 'x' WHERE number = 1", []).unwrap();
        assert_eq!(migrate(&mut connection, 1).unwrap_err().kind, ErrorKind::Corrupt);
    }

    #[test]
    fn a_database_that_is_migrated_while_it_is_open_is_refused_from_then_on() {
        let connection = migrated();
        refuse_if_newer(&connection).unwrap();
        connection.execute("INSERT INTO migrations VALUES (9, 'later', 'x', 1)", []).unwrap();
        connection.pragma_update(None, "user_version", 9).unwrap();
        let error = refuse_if_newer(&connection).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NewerDatabase);
    }

    #[test]
    fn a_schema_number_without_its_migration_is_a_damage() {
        let connection = migrated();
        connection.pragma_update(None, "user_version", 9).unwrap();
        assert_eq!(refuse_if_newer(&connection).unwrap_err().kind, ErrorKind::Corrupt);
    }

    #[test]
    fn a_table_that_was_changed_is_strange_and_one_that_was_added_is_not() {
        let connection = migrated();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert_eq!(strange_tables(&connection).unwrap(), Vec::<String>::new());
        connection.execute_batch("DROP INDEX steps_by_id").unwrap();
        let strange = strange_tables(&connection).unwrap();
        assert_eq!(strange, ["index steps_by_id is not as hookline made it"]);
    }

    #[test]
    fn a_library_that_can_lose_data_is_refused() {
        assert_eq!(check_library(3_051_002).unwrap_err().kind, ErrorKind::OldSqlite);
        assert_eq!(check_library(rusqlite::version_number()), Ok(()));
    }
}
