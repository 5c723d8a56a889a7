//! Makes the schema and brings it up to date.

use super::db::{Columns, Db, values};
use super::fault;
use crate::error::{ErrorKind, WorldError};

/// The migrations, in order. A published one never changes.
const MIGRATIONS: [&str; 1] = [include_str!("../../../migrations/postgres/0001_initial.sql")];

/// The oldest server that works, as `server_version_num` has it.
const VERSION_MIN: i64 = 140_000;

/// Refuses a server that cannot hold a database of ours.
pub(super) async fn check_server(db: &Db) -> Result<(), WorldError> {
    const SERVER: &str = "SELECT current_setting('server_version_num')::bigint, version(), \
         current_setting('server_encoding')";
    let row = db.first(SERVER, &[]).await?.ok_or_else(|| fault::damage("no version"))?;
    let mut columns = Columns::of(&row);
    let (number, name): (i64, String) = (columns.take()?, columns.take()?);
    let encoding: String = columns.take()?;
    let refuse = |why: String| Err(WorldError::new(ErrorKind::CannotOpen, why));
    if number < VERSION_MIN {
        return refuse(format!(
            "this Postgres server is too old ({name}); version 14 is the oldest that works"
        ));
    }
    if ["CockroachDB", "YB-", "Limitless"].iter().any(|other| name.contains(other)) {
        return refuse(format!(
            "this server only speaks like Postgres ({name}); use PostgreSQL 14 or later"
        ));
    }
    if encoding != "UTF8" {
        return refuse(format!(
            "the database has the encoding {encoding}; create one with ENCODING 'UTF8'"
        ));
    }
    Ok(())
}

/// A digest by which a changed migration is noticed.
fn checksum(text: &str) -> String {
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}

/// Makes the schema, or the tables that it lacks. Processes that come together wait for each other.
pub(super) async fn migrate(db: &Db, now_ms: i64) -> Result<(), WorldError> {
    // A role without the right to make things must not try when nothing is to be made.
    if version_in(db).await? == Some(MIGRATIONS.len() as i64) {
        return check(db).await;
    }
    let done = migrate_locked(db, now_ms).await;
    if done.is_err() {
        // What the transaction has done is undone.
        let _ = db.simple("ROLLBACK").await;
    }
    done.map_err(|error| lacks_right(db, error))?;
    check(db).await
}

async fn migrate_locked(db: &Db, now_ms: i64) -> Result<(), WorldError> {
    // The lock is for this database: its key is a hash of the schema.
    db.simple("BEGIN").await?;
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    db.rows(LOCK, &values![format!("hookline migrates {}", db.schema())]).await?;
    let before = version_in(db).await?;
    if before.is_none() {
        db.simple(&format!("CREATE SCHEMA IF NOT EXISTS {}", db.schema())).await?;
        db.simple(
            "CREATE TABLE hookline.migrations (version bigint PRIMARY KEY, checksum text NOT NULL, \
             migrated_at_ms bigint NOT NULL)",
        )
        .await?;
    }
    for (number, text) in (1_i64..).zip(MIGRATIONS).skip(before.unwrap_or(0) as usize) {
        const NOTE: &str = "INSERT INTO hookline.migrations VALUES ($1, $2, $3)";
        db.simple(text).await?;
        db.execute(NOTE, &values![number, checksum(text), now_ms]).await?;
    }
    db.simple("COMMIT").await
}

/// The version of the schema; `None` if there is none.
async fn version_in(db: &Db) -> Result<Option<i64>, WorldError> {
    // Not to_regclass: the server answers that from a cache, which may be older than the lock.
    const IS_THERE: &str = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c \
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = 'migrations')";
    const VERSION: &str = "SELECT coalesce(max(version), 0) FROM hookline.migrations";
    let there = db.first(IS_THERE, &values![db.schema()]).await?;
    if !there.map(|row| Columns::of(&row).take()).transpose()?.unwrap_or(false) {
        return Ok(None);
    }
    let row = db.first(VERSION, &[]).await?;
    row.map(|row| Columns::of(&row).take()).transpose()
}

/// Refuses a schema that is not exactly what this engine knows.
pub(super) async fn check(db: &Db) -> Result<(), WorldError> {
    const ALL: &str = "SELECT version, checksum FROM hookline.migrations ORDER BY version";
    let Some(version) = version_in(db).await? else {
        return Err(WorldError::new(
            ErrorKind::CannotOpen,
            format!(
                "the schema \"{}\" does not exist; let a process that writes make it",
                db.schema()
            ),
        ));
    };
    if version > MIGRATIONS.len() as i64 {
        return Err(newer());
    }
    for (row, text) in db.rows(ALL, &[]).await?.iter().zip(MIGRATIONS) {
        let mut columns = Columns::of(row);
        let _version: i64 = columns.take()?;
        if columns.take::<String>()? != checksum(text) {
            return Err(WorldError::new(
                ErrorKind::ForeignFile,
                format!(
                    "the schema \"{}\" was made by something else; choose another schema",
                    db.schema()
                ),
            ));
        }
    }
    Ok(())
}

fn newer() -> WorldError {
    WorldError::new(
        ErrorKind::NewerDatabase,
        "the schema was made by a newer version of hookline; update this process",
    )
}

fn lacks_right(db: &Db, error: WorldError) -> WorldError {
    if !fault::has_state(&error, "42501") {
        return error;
    }
    let schema = db.schema();
    let message = format!(
        "this Postgres role may not make the schema \"{schema}\"; let an owner run: \
         GRANT CREATE ON DATABASE .. TO .., or make the schema with a process of another role [{}]",
        error.message
    );
    WorldError { message, ..error }
}
