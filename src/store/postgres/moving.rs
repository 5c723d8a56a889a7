//! A schema as one [`Side`] of a move.
//!
//! What Postgres stores otherwise: the digest of a token, and the counters, which are sequences. A schema
//! that was moved gets another name; in its place remains one table that names the new place.

use std::pin::Pin;

use tokio::runtime::Runtime;
use tokio_postgres::Row as DbRow;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use super::connect::{Connector, LONG_ANSWER_WITHIN};
use super::db::{Columns, Db, Value, values};
use super::{PostgresLocation, fault, migrate, owners};
use crate::crypto::Digest;
use crate::error::{ErrorKind, WorldError};
use crate::store::moving::{
    Cell, EachRow, Kind, MovedTable, Row, Side, Singles, TABLES, TableName, moved, refuse_workers,
};

/// The end of the name of a schema that was moved.
const MOVED_SUFFIX: &str = "_moved";
/// The bytes and the rows that one round trip should bring.
const FETCH_BYTES: usize = 1024 * 1024;
const FETCH_MAX: usize = 1000;
/// Postgres cuts longer names short.
const NAME_BYTES_MAX: usize = 63;

/// A schema that this process holds for a move.
pub struct PostgresSide {
    runtime: Runtime,
    db: Db,
    shown: String,
    moved_to: Option<String>,
    copying: Option<Pin<Box<BinaryCopyInWriter>>>,
}

impl PostgresSide {
    /// Holds an existing schema, which nobody can write then, until this is dropped.
    ///
    /// # Errors
    /// As [`PostgresStore::open`](super::PostgresStore::open); `Invalid` while workers live; `Busy` while
    /// others write.
    pub fn source(location: &PostgresLocation) -> Result<Self, WorldError> {
        let mut side = Self::connect(location)?;
        if side.moved_to.is_some() {
            side.db = side.db.of_schema(format!("{}{MOVED_SUFFIX}", location.schema));
        }
        side.hold(async |db: &Db| migrate::check(db).await)?;
        side.refuse_unless_owner()?;
        let workers = side.run(async |db| owners::workers(db).await)?;
        refuse_workers(&side.shown, workers.len())?;
        Ok(side)
    }

    /// Makes a schema if that is allowed, or holds an existing one.
    ///
    /// # Errors
    /// As [`PostgresSide::source`]; `Moved` if it was moved itself.
    pub fn target(location: &PostgresLocation, migrates: bool) -> Result<Self, WorldError> {
        let mut side = Self::connect(location)?;
        if let Some(to) = &side.moved_to {
            return Err(moved(to));
        }
        side.hold(async |db: &Db| match migrates {
            true => migrate::migrate(db).await,
            false => migrate::check(db).await,
        })?;
        Ok(side)
    }

    fn connect(location: &PostgresLocation) -> Result<Self, WorldError> {
        let connector = Connector::new(location, false)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            WorldError::new(ErrorKind::CannotOpen, format!("no connection can be driven: {error}"))
        })?;
        let shown = location.shown();
        let (db, moved_to) = runtime.block_on(async {
            let db = connector.connect("moves", LONG_ANSWER_WITHIN).await?;
            migrate::check_server(&db).await.map_err(|error| fault::at(error, &shown))?;
            let moved_to = moved_to(&db).await.map_err(|error| fault::at(error, &shown))?;
            Ok::<_, WorldError>((db, moved_to))
        })?;
        Ok(Self { runtime, db, shown, moved_to, copying: None })
    }

    /// Begins the transaction. Others can read meanwhile, and wait when they write.
    fn hold(
        &mut self,
        first: impl AsyncFn(&Db) -> Result<(), WorldError>,
    ) -> Result<(), WorldError> {
        const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = 0; \
             SET LOCAL idle_in_transaction_session_timeout = 0";
        let tables: Vec<String> =
            TABLES.iter().map(|table| format!("hookline.{}", table.sql_name)).collect();
        let lock = format!("LOCK TABLE {}, hookline.owners IN EXCLUSIVE MODE", tables.join(", "));
        self.run(async |db| {
            first(db).await?;
            db.simple(BEGIN).await?;
            db.simple(&lock).await
        })
    }

    /// Only an owner may give the schema another name at the end.
    fn refuse_unless_owner(&self) -> Result<(), WorldError> {
        const MAY: &str = "SELECT pg_catalog.pg_has_role(nspowner, 'USAGE') \
             AND pg_catalog.has_database_privilege(current_database(), 'CREATE') \
             FROM pg_catalog.pg_namespace WHERE nspname = $1";
        let may = self.run(async |db| {
            let row = db.first(MAY, &values![db.schema()]).await?;
            row.map(|row| Columns::of(&row).take::<bool>()).transpose()
        })?;
        match may {
            Some(true) => Ok(()),
            _ => Err(WorldError::new(
                ErrorKind::ReadOnly,
                format!(
                    "{}: only a role that owns the schema and may create schemas in the database can move \
                     it away; name it in the URL",
                    self.shown
                ),
            )),
        }
    }

    fn run<T>(&self, work: impl AsyncFn(&Db) -> Result<T, WorldError>) -> Result<T, WorldError> {
        let outcome = self.runtime.block_on(work(&self.db));
        outcome.map_err(|error| fault::at(error, &self.shown))
    }

    fn number(&self, sql: &str) -> Result<i64, WorldError> {
        self.run(async |db| {
            let rows = db.rows_of(sql, &[]).await?;
            let row = rows.first().ok_or_else(|| fault::damage("no number"))?;
            Columns::of(row).take()
        })
    }

    fn begin_copy(&self, table: &MovedTable) -> Result<Pin<Box<BinaryCopyInWriter>>, WorldError> {
        let mut names = table.column_names();
        let mut types: Vec<Type> = table.columns.iter().map(|(_, kind)| sql_type(*kind)).collect();
        if table.name == TableName::Hooks {
            names.push_str(", token_digest");
            types.push(Type::BYTEA);
        }
        let sql = format!("COPY hookline.{} ({names}) FROM STDIN (FORMAT binary)", table.sql_name);
        self.run(async |db| db.copy_in(&sql, &types).await)
    }
}

fn sql_type(kind: Kind) -> Type {
    match kind {
        Kind::Text => Type::TEXT,
        Kind::Number => Type::INT8,
        Kind::Small => Type::INT2,
        Kind::Truth => Type::BOOL,
        Kind::AnyText | Kind::Bytes => Type::BYTEA,
    }
}

/// A cell as Postgres stores it.
fn value_of(table: &MovedTable, at: usize, cell: Cell) -> Result<Value, WorldError> {
    let (column, kind) = table.columns[at];
    let odd = || fault::damage(&format!("{}.{column} is odd", table.sql_name));
    Ok(match (kind, cell) {
        (Kind::Text, Cell::Null) => Value::Text(None),
        (Kind::Text, Cell::Text(text)) if text.contains('\0') => {
            return Err(WorldError::invalid(format!(
                "a row of table {} has a NUL character in {column}, which Postgres cannot store; nothing \
                 was moved",
                table.sql_name
            )));
        }
        (Kind::Text, Cell::Text(text)) => Value::Text(Some(text)),
        (Kind::Number, Cell::Null) => Value::Int(None),
        (Kind::Number, Cell::Number(number)) => Value::Int(Some(number)),
        (Kind::Small, Cell::Null) => Value::Small(None),
        (Kind::Small, Cell::Number(number)) => {
            Value::Small(Some(i16::try_from(number).map_err(|_| odd())?))
        }
        (Kind::Truth, Cell::Number(number)) => Value::Bool(number != 0),
        (Kind::Bytes | Kind::AnyText, Cell::Null) => Value::Bytes(None),
        (Kind::Bytes, Cell::Bytes(bytes)) => Value::Bytes(Some(bytes)),
        (Kind::AnyText, Cell::Text(text)) => Value::Bytes(Some(text.into_bytes())),
        _ => return Err(odd()),
    })
}

fn row_of(table: &MovedTable, row: &DbRow) -> Result<Row, WorldError> {
    let mut columns = Columns::of(row);
    let cells = table.columns.iter().map(|(_, kind)| {
        let cell = match kind {
            Kind::Text => columns.take::<Option<String>>()?.map(Cell::Text),
            Kind::Number => columns.take::<Option<i64>>()?.map(Cell::Number),
            Kind::Small => columns.take::<Option<i16>>()?.map(|small| Cell::Number(small.into())),
            Kind::Truth => columns.take::<Option<bool>>()?.map(|truth| Cell::Number(truth.into())),
            Kind::Bytes => columns.take::<Option<Vec<u8>>>()?.map(Cell::Bytes),
            Kind::AnyText => {
                let text = columns.take::<Option<Vec<u8>>>()?.map(String::from_utf8).transpose();
                text.map_err(|_| fault::damage("a text that is not UTF-8"))?.map(Cell::Text)
            }
        };
        Ok(cell.unwrap_or(Cell::Null))
    });
    cells.collect()
}

/// Where the schema was moved to, if there is only the mark.
pub(super) async fn moved_to(db: &Db) -> Result<Option<String>, WorldError> {
    const IS_MARKED: &str = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c \
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = 'moved')";
    const PLACE: &str = "SELECT place FROM hookline.moved";
    let marked = db.first(IS_MARKED, &values![db.schema()]).await?;
    if !marked.map(|row| Columns::of(&row).take()).transpose()?.unwrap_or(false) {
        return Ok(None);
    }
    let row = db.first(PLACE, &[]).await?;
    row.map(|row| Columns::of(&row).take()).transpose()
}

impl Side for PostgresSide {
    fn shown(&self) -> String {
        self.shown.clone()
    }

    fn moved_to(&self) -> Option<&str> {
        self.moved_to.as_deref()
    }

    fn is_empty(&mut self) -> Result<bool, WorldError> {
        const ANY: &str = "SELECT (EXISTS (SELECT 1 FROM hookline.runs) \
             OR EXISTS (SELECT 1 FROM hookline.events) OR EXISTS (SELECT 1 FROM hookline.messages) \
             OR EXISTS (SELECT 1 FROM hookline.streams) OR EXISTS (SELECT 1 FROM hookline.resume_keys)) \
             ::integer::bigint";
        Ok(self.number(ANY)? == 0)
    }

    fn count(&mut self, table: &'static MovedTable) -> Result<u64, WorldError> {
        let count = self.number(&format!("SELECT count(*) FROM hookline.{}", table.sql_name))?;
        Ok(count.unsigned_abs())
    }

    fn read(&mut self, table: &'static MovedTable, each: EachRow<'_>) -> Result<(), WorldError> {
        let cursor = format!(
            "DECLARE moving NO SCROLL CURSOR FOR SELECT {} FROM hookline.{} ORDER BY {}",
            table.column_names(),
            table.sql_name,
            table.key
        );
        self.run(async |db| db.simple(&cursor).await)?;
        // A row may be long, so their number follows from their length.
        let mut count = 1;
        loop {
            let next = format!("FETCH {count} FROM moving");
            let rows = self.run(async |db| db.rows_of(&next, &[]).await)?;
            if rows.is_empty() {
                break;
            }
            let mut bytes = 0;
            for row in &rows {
                let row = row_of(table, row)?;
                bytes += row.iter().map(Cell::bytes).sum::<usize>();
                each(row)?;
            }
            count =
                if bytes < FETCH_BYTES { (2 * count).min(FETCH_MAX) } else { (count / 2).max(1) };
        }
        self.run(async |db| db.simple("CLOSE moving").await)
    }

    fn clear(&mut self) -> Result<(), WorldError> {
        const CLEAR: &str = "DELETE FROM hookline.releases; DELETE FROM hookline.encryption_keys";
        self.run(async |db| db.simple(CLEAR).await)
    }

    fn write(&mut self, table: &'static MovedTable, row: Row) -> Result<(), WorldError> {
        let mut copying = match self.copying.take() {
            Some(copying) => copying,
            None => self.begin_copy(table)?,
        };
        let cells = row.into_iter().enumerate().map(|(at, cell)| value_of(table, at, cell));
        let mut values = cells.collect::<Result<Vec<Value>, _>>()?;
        if table.name == TableName::Hooks
            && let Value::Bytes(Some(token)) = &values[2]
        {
            let mut digest = Digest::default();
            digest.add(token);
            values.push(Value::Bytes(Some(digest.bytes())));
        }
        let written = self.runtime.block_on(copying.as_mut().write_raw(&values));
        written.map_err(|error| fault::at(error.into(), &self.shown))?;
        self.copying = Some(copying);
        Ok(())
    }

    fn end(&mut self, table: &'static MovedTable) -> Result<(), WorldError> {
        const NUMBER_STREAMS: &str = "SELECT setval(pg_get_serial_sequence('hookline.streams', \
             'stream_number'), (SELECT max(stream_number) FROM hookline.streams))";
        let Some(mut copying) = self.copying.take() else { return Ok(()) };
        let written = self.runtime.block_on(copying.as_mut().finish());
        written.map_err(|error| fault::at(error.into(), &self.shown))?;
        match table.name {
            TableName::Streams => self.run(async |db| db.simple(NUMBER_STREAMS).await),
            _ => Ok(()),
        }
    }

    fn singles(&mut self) -> Result<Singles, WorldError> {
        const SINGLES: &str = "SELECT (SELECT secret FROM hookline.delivery_secret), \
             (SELECT workflow_prefix FROM hookline.queue_names), \
             (SELECT greatest(reached_ms, (SELECT max(created_at_ms) FROM hookline.messages)) + 1 \
               FROM hookline.queue_time), \
             coalesce(pg_sequence_last_value( \
               pg_get_serial_sequence('hookline.hooks', 'hook_number')::regclass), 0)";
        self.run(async |db| {
            let row = db.first(SINGLES, &[]).await?.ok_or_else(|| fault::damage("no secret"))?;
            let mut columns = Columns::of(&row);
            Ok(Singles {
                delivery_secret: columns.take()?,
                workflow_prefix: columns.take()?,
                reached_ms: columns.take()?,
                last_hook_number: columns.take()?,
            })
        })
    }

    fn keep_singles(&mut self, singles: &Singles) -> Result<(), WorldError> {
        const SECRET: &str = "INSERT INTO hookline.delivery_secret VALUES (1, $1) \
             ON CONFLICT (only_row) DO UPDATE SET secret = excluded.secret";
        const PREFIX: &str = "INSERT INTO hookline.queue_names VALUES (1, $1) \
             ON CONFLICT (only_row) DO UPDATE SET workflow_prefix = excluded.workflow_prefix";
        const REACHED: &str = "UPDATE hookline.queue_time SET reached_ms = $1";
        const HOOKS: &str = "SELECT setval(pg_get_serial_sequence('hookline.hooks', 'hook_number'), \
             greatest($1, 1), $1 > 0)";
        let Singles { delivery_secret, workflow_prefix, reached_ms, last_hook_number } = singles;
        self.run(async |db| {
            db.execute(SECRET, &values![delivery_secret]).await?;
            db.execute(PREFIX, &values![workflow_prefix]).await?;
            db.execute(REACHED, &values![*reached_ms]).await?;
            db.rows(HOOKS, &values![*last_hook_number]).await.map(drop)
        })
    }

    fn mark(&mut self, to: &str, now_ms: i64) -> Result<(), WorldError> {
        const KEEP: &str = "INSERT INTO hookline.moved VALUES ($1, $2)";
        let schema = self.db.schema().to_owned();
        let moved = format!("{schema}{MOVED_SUFFIX}");
        if moved.len() > NAME_BYTES_MAX {
            return Err(WorldError::invalid(format!(
                "the schema \"{schema}\" is kept as \"{moved}\" after the move, which is too long a name \
                 for Postgres; rename the schema first"
            )));
        }
        // Every role of the database may read where its schema is now.
        let leave = format!(
            "ALTER SCHEMA {schema} RENAME TO {moved}; CREATE SCHEMA {schema}; \
             CREATE TABLE {schema}.moved (place text NOT NULL, moved_at_ms bigint NOT NULL); \
             GRANT USAGE ON SCHEMA {schema} TO PUBLIC; GRANT SELECT ON {schema}.moved TO PUBLIC"
        );
        self.run(async |db| {
            db.simple(&leave).await?;
            db.execute(KEEP, &values![to, now_ms]).await?;
            db.simple("COMMIT").await
        })
    }

    fn unmark(&mut self) -> Result<(), WorldError> {
        let schema = self.db.schema().to_owned();
        let back = format!(
            "BEGIN; DROP SCHEMA {schema} CASCADE; ALTER SCHEMA {schema}{MOVED_SUFFIX} RENAME TO {schema}; \
             COMMIT"
        );
        self.run(async |db| db.simple(&back).await)
    }

    fn commit(&mut self) -> Result<(), WorldError> {
        self.run(async |db| db.simple("COMMIT").await)
    }
}
