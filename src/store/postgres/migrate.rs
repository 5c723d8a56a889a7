//! Makes the schema and brings it up to date.
//!
//! What is run is a script, which a person can also be shown, and can run.

use super::db::{Columns, Db, values};
use super::{fault, hearing, moving, owners};
use crate::error::{ErrorKind, WorldError};

/// A step from one version of the schema to the next. A published one never changes.
struct Migration {
    text: &'static str,
    /// Whether processes of earlier versions cannot work with the schema afterwards.
    is_breaking: bool,
}

/// The migrations, in order.
const MIGRATIONS: [Migration; 1] = [Migration {
    text: concat!(
        include_str!("../../../migrations/postgres/0001_initial.sql"),
        "\n",
        include_str!("../../../migrations/postgres/0001_functions.sql"),
    ),
    is_breaking: true,
}];

/// Stands in a migration for the name of the channel of the schema.
const CHANNEL: &str = "hookline:channel";

/// The columns of the table `migrations`, by which a schema of ours is known.
const COLUMNS: &str = "version,checksum,migrated_at_ms,is_breaking";

/// The oldest server that works, as `server_version_num` has it.
const VERSION_MIN: i64 = 140_000;

/// What a person asks for who makes the schema without an app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrateRequest {
    /// Only shows what would be run.
    pub only_shows: bool,
    /// The role of the app, which gets the rights that it needs.
    pub grant_to: Option<String>,
}

/// What was run, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The statements, without those that begin and end the transaction; empty if there is nothing to do.
    pub script: String,
    /// The version of the schema before; 0 if there was none.
    pub before: usize,
    /// The version that this engine makes.
    pub after: usize,
    /// The name of the schema.
    pub schema: String,
}

/// What is in the place of the schema.
struct Found {
    is_there: bool,
    /// The version and the checksums; `None` if it has no tables.
    applied: Option<Vec<Applied>>,
}

/// A migration that was done.
struct Applied {
    version: i64,
    checksum: String,
    is_breaking: bool,
}

/// Refuses a server that cannot hold a database of ours.
pub(super) async fn check_server(db: &Db) -> Result<(), WorldError> {
    const SERVER: &str = "SELECT current_setting('server_version_num')::bigint, version(), \
         current_setting('server_encoding')";
    let row = db.first(SERVER, &[]).await?.ok_or_else(|| fault::damage("no version"))?;
    let mut columns = Columns::of(&row);
    let (number, name): (i64, String) = (columns.take()?, columns.take()?);
    refuse_server(number, &name, &columns.take::<String>()?)
}

fn refuse_server(number: i64, name: &str, encoding: &str) -> Result<(), WorldError> {
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

/// Makes the schema, or the tables that it lacks. Processes that come together wait for each other.
///
/// # Errors
/// As [`check`]; `CannotOpen` if older processes must stop first; `ReadOnly` without the right.
pub(super) async fn migrate(db: &Db) -> Result<(), WorldError> {
    // A role without the right to make things must not try when nothing is to be made.
    if find(db).await?.version() < MIGRATIONS.len() {
        apply(db, &MIGRATIONS, &MigrateRequest::default()).await?;
    }
    check(db).await
}

/// Makes the schema, brings it up to date and grants rights, as a person asks.
///
/// # Errors
/// As [`migrate`].
pub(super) async fn by_hand(db: &Db, request: &MigrateRequest) -> Result<Migrated, WorldError> {
    apply(db, &MIGRATIONS, request).await
}

async fn apply(
    db: &Db,
    migrations: &[Migration],
    request: &MigrateRequest,
) -> Result<Migrated, WorldError> {
    let done = apply_locked(db, migrations, request).await;
    if done.is_err() || request.only_shows {
        // What the transaction has done is undone.
        let _ = db.simple("ROLLBACK").await;
    }
    done
}

async fn apply_locked(
    db: &Db,
    migrations: &[Migration],
    request: &MigrateRequest,
) -> Result<Migrated, WorldError> {
    db.simple("BEGIN").await?;
    if !request.only_shows {
        // The lock is for this database: its key is a hash of the schema.
        const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
        db.rows(LOCK, &values![format!("hookline migrates {}", db.schema())]).await?;
    }
    let found = find(db).await?;
    let before = found.version();
    check_found(db, &found, migrations)?;
    refuse_while_older_ones_work(db, before, migrations).await?;
    let mut script = script(db, &found, migrations);
    if let Some(role) = &request.grant_to {
        script.push_str(&grants(db.schema(), role));
    }
    if !request.only_shows {
        db.simple(&script).await.map_err(|error| lacks_right(db, error))?;
        db.simple("COMMIT").await?;
    }
    Ok(Migrated { script, before, after: migrations.len(), schema: db.schema().to_owned() })
}

/// The statements that bring the schema up to date.
fn script(db: &Db, found: &Found, migrations: &[Migration]) -> String {
    let mut script = String::new();
    let missing = (1..).zip(migrations).skip(found.version());
    if !found.is_there {
        script.push_str(&format!("CREATE SCHEMA {};\n", db.schema()));
    }
    if found.applied.is_none() {
        script.push_str(
            "CREATE TABLE hookline.migrations (\n  version bigint PRIMARY KEY,\n  \
             checksum text NOT NULL,\n  migrated_at_ms bigint NOT NULL,\n  \
             is_breaking boolean NOT NULL\n);\n",
        );
    }
    for (number, migration) in missing {
        let Migration { text, is_breaking } = migration;
        script.push_str(&text.replace(CHANNEL, &hearing::channel(db.schema())));
        script.push_str(&format!(
            "\nINSERT INTO hookline.migrations VALUES ({number}, '{}', \
             (extract(epoch FROM clock_timestamp()) * 1000)::bigint, {is_breaking});\n",
            checksum(text)
        ));
    }
    db.in_schema(&script)
}

/// The statements that give the role of an app what it needs, also on what later migrations make.
fn grants(schema: &str, role: &str) -> String {
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    let rows = "SELECT, INSERT, UPDATE, DELETE";
    format!(
        "GRANT USAGE ON SCHEMA {schema} TO {role};\n\
         GRANT {rows} ON ALL TABLES IN SCHEMA {schema} TO {role};\n\
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role};\n\
         ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {rows} ON TABLES TO {role};\n\
         ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE ON SEQUENCES TO {role};\n"
    )
}

/// A digest by which a changed migration is noticed.
fn checksum(text: &str) -> String {
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}

impl Found {
    /// How many migrations were done.
    fn version(&self) -> usize {
        let last = self.applied.as_ref().and_then(|all| all.last());
        last.map_or(0, |last| usize::try_from(last.version).unwrap_or(0))
    }
}

/// Looks what is in the place of the schema, in the catalogue: a role without rights sees that too.
async fn find(db: &Db) -> Result<Found, WorldError> {
    const THERE: &str = "SELECT (SELECT string_agg(a.attname, ',' ORDER BY a.attnum) \
           FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid \
           WHERE c.relnamespace = n.oid AND c.relname = 'migrations' AND a.attnum > 0 \
           AND NOT a.attisdropped), \
         EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid) \
           OR EXISTS (SELECT 1 FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = n.oid) \
           OR EXISTS (SELECT 1 FROM pg_catalog.pg_type AS t WHERE t.typnamespace = n.oid) \
         FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1";
    const APPLIED: &str =
        "SELECT version, checksum, is_breaking FROM hookline.migrations ORDER BY version";
    let Some(there) = db.first(THERE, &values![db.schema()]).await? else {
        return Ok(Found { is_there: false, applied: None });
    };
    let mut columns = Columns::of(&there);
    let (names, has_anything): (Option<String>, bool) = (columns.take()?, columns.take()?);
    match names {
        None if !has_anything => return Ok(Found { is_there: true, applied: None }),
        Some(names) if names == COLUMNS => {}
        // Of one that was moved, only the mark is left.
        _ => {
            let moved = moving::moved_to(db).await?;
            return Err(moved.map_or_else(|| foreign(db), |to| crate::store::moving::moved(&to)));
        }
    }
    let mut applied = Vec::new();
    for row in db.rows(APPLIED, &[]).await.map_err(|error| lacks_right(db, error))? {
        let mut columns = Columns::of(&row);
        let (version, checksum) = (columns.take()?, columns.take()?);
        applied.push(Applied { version, checksum, is_breaking: columns.take()? });
    }
    Ok(Found { is_there: true, applied: Some(applied) })
}

/// Refuses a schema that this engine does not know.
///
/// # Errors
/// `CannotOpen` if it is not there, or older; `NewerDatabase`; `ForeignFile`.
pub(super) async fn check(db: &Db) -> Result<(), WorldError> {
    let found = find(db).await?;
    check_found(db, &found, &MIGRATIONS)?;
    if found.version() >= MIGRATIONS.len() {
        return Ok(());
    }
    let schema = db.schema();
    let is = if found.applied.is_some() { "is of an older hookline" } else { "does not exist" };
    Err(WorldError::new(
        ErrorKind::CannotOpen,
        format!(
            "the schema \"{schema}\" {is}, and this process may not change it; let a role that may \
             run: npx hookline migrate --url .. --grant .."
        ),
    ))
}

fn check_found(db: &Db, found: &Found, migrations: &[Migration]) -> Result<(), WorldError> {
    let applied = found.applied.as_deref().unwrap_or_default();
    let (known, newer) = applied.split_at(applied.len().min(migrations.len()));
    if newer.iter().any(|migration| migration.is_breaking) {
        return Err(WorldError::new(
            ErrorKind::NewerDatabase,
            format!(
                "the schema \"{}\" was made by a newer version of hookline; update this process",
                db.schema()
            ),
        ));
    }
    let numbers = applied.iter().map(|migration| migration.version);
    let is_known = |(one, other): (&Applied, &Migration)| one.checksum == checksum(other.text);
    match numbers.eq(1..=applied.len() as i64) && known.iter().zip(migrations).all(is_known) {
        true => Ok(()),
        false => Err(foreign(db)),
    }
}

fn foreign(db: &Db) -> WorldError {
    WorldError::new(
        ErrorKind::ForeignFile,
        format!(
            "the schema \"{}\" holds something else, which is left as it is; choose another one with \
             ?schema= in the Postgres URL",
            db.schema()
        ),
    )
}

/// Refuses to change what the older processes that work could not bear.
async fn refuse_while_older_ones_work(
    db: &Db,
    before: usize,
    migrations: &[Migration],
) -> Result<(), WorldError> {
    let is_breaking = migrations.iter().skip(before).any(|migration| migration.is_breaking);
    if before == 0 || !is_breaking {
        return Ok(());
    }
    let count = owners::living(db).await?.len();
    match count {
        0 => Ok(()),
        _ => Err(WorldError::new(
            ErrorKind::CannotOpen,
            format!(
                "the schema \"{}\" must change in a way that older versions of hookline cannot work \
                 with; stop their processes first: {count} of them deliver now",
                db.schema()
            ),
        )),
    }
}

fn lacks_right(db: &Db, error: WorldError) -> WorldError {
    if !fault::has_state(&error, "42501") {
        return error;
    }
    let schema = db.schema();
    let message = format!(
        "this Postgres role may not make, change or use the schema \"{schema}\"; let a role that may \
         run: npx hookline migrate --url .. --grant .., or GRANT CREATE ON DATABASE .. TO this one [{}]",
        error.message
    );
    WorldError { message, ..error }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(dead_code)] // only a part is needed
#[path = "../../../tests/kit/postgres_server.rs"]
mod test_server;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_must_be_postgres_14_or_later_with_utf8() {
        assert_eq!(refuse_server(140_000, "PostgreSQL 14.0", "UTF8"), Ok(()));
        let said = |number, name, encoding| {
            let error: WorldError = refuse_server(number, name, encoding).unwrap_err();
            assert_eq!(error.kind, ErrorKind::CannotOpen);
            error.message
        };
        assert!(said(130_022, "PostgreSQL 13.22", "UTF8").contains("version 14 is the oldest"));
        assert!(said(150_000, "CockroachDB CCL v25", "UTF8").contains("only speaks like"));
        assert!(said(150_000, "PostgreSQL 15.2-YB-2025", "UTF8").contains("only speaks like"));
        assert!(said(150_000, "PostgreSQL 15.1", "LATIN1").contains("ENCODING 'UTF8'"));
    }

    #[test]
    fn the_name_of_a_role_is_quoted() {
        let granted = grants("flows", "a\"; DROP ROLE b");
        assert!(granted.starts_with("GRANT USAGE ON SCHEMA flows TO \"a\"\"; DROP ROLE b\";\n"));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests_on_a_server {
    use super::super::connect::{Connector, LONG_ANSWER_WITHIN};
    use super::super::location::PostgresLocation;
    use super::*;

    /// Runs with a connection to a fresh schema of the first version.
    fn with_schema(work: impl AsyncFn(&Connector, &Db)) {
        let location = PostgresLocation::parse(&test_server::fresh_schema()).unwrap();
        let connector = Connector::new(&location, false).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = connector.connect("tests", LONG_ANSWER_WITHIN).await.unwrap();
            migrate(&db).await.unwrap();
            work(&connector, &db).await;
        });
    }

    async fn begins(worker: &Db) {
        let signing =
            owners::SignedIn { owner: "worker", now_ms: 0, has_session: true, report: None };
        let number = owners::sign_in(worker, signing).await.unwrap();
        assert!(owners::lock(worker, number).await.unwrap());
    }

    /// The migrations of a version to come.
    fn next(is_breaking: bool) -> [Migration; 2] {
        let [Migration { text, is_breaking: first }] = &MIGRATIONS;
        let second = Migration { text: "CREATE TABLE hookline.later (id bigint);", is_breaking };
        [Migration { text, is_breaking: *first }, second]
    }

    #[test]
    fn what_older_processes_can_bear_is_done_while_they_work() {
        with_schema(async |connector, db| {
            let worker = connector.connect("works", LONG_ANSWER_WITHIN).await.unwrap();
            begins(&worker).await;
            let request = MigrateRequest::default();
            let done = apply(db, &next(false), &request).await.unwrap();
            assert_eq!((done.before, done.after), (1, 2));
            assert_eq!(check(db).await, Ok(()), "the older version goes on");
            assert_eq!(apply(db, &next(false), &request).await.unwrap().script, "");
        });
    }

    #[test]
    fn what_they_cannot_bear_waits_until_they_have_stopped() {
        with_schema(async |connector, db| {
            let worker = connector.connect("works", LONG_ANSWER_WITHIN).await.unwrap();
            begins(&worker).await;
            let request = MigrateRequest::default();
            let refused = apply(db, &next(true), &request).await.unwrap_err();
            assert_eq!(refused.kind, ErrorKind::CannotOpen);
            assert!(refused.message.contains("stop their processes first"), "{refused}");
            assert_eq!(find(db).await.unwrap().version(), 1, "nothing was changed");
            owners::end(&worker, "worker", 0).await.unwrap();
            assert_eq!(apply(db, &next(true), &request).await.unwrap().after, 2);
            assert_eq!(check(db).await.unwrap_err().kind, ErrorKind::NewerDatabase);
        });
    }

    #[test]
    fn a_migration_that_fails_leaves_nothing() {
        with_schema(async |_, db| {
            let [first, second] = next(false);
            let text = "CREATE TABLE hookline.later (id bigint); SELECT 1 / 0;";
            let wrong = [first, Migration { text, ..second }];
            apply(db, &wrong, &MigrateRequest::default()).await.unwrap_err();
            assert_eq!(find(db).await.unwrap().version(), 1);
            assert_eq!(apply(db, &next(false), &MigrateRequest::default()).await.unwrap().after, 2);
        });
    }
}
