//! A file as one [`Side`] of a move.
//!
//! What SQLite stores otherwise: the places of long values, checksums, the numbers of chunks, whether
//! values will be dropped, and in `runs` what replays have seen.

use std::path::PathBuf;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql, params};

use super::checksum::Table;
use super::connect::{self, Patience};
use super::events::{EVENTS, payload_checksum};
use super::guard::Guard;
use super::host_claim::HostClaim;
use super::long_values::{self, Stored};
use super::messages::MESSAGES;
use super::opening::QUEUE_NAMES;
use super::streams::{CHUNKS, STREAMS};
use super::{
    Location, SqliteOptions, SqliteStore, examination, fault, hooks, keys, migrate, owners,
    resume_keys, runs, sqlite_upkeep, steps, streams, waits,
};
use crate::domain::id::RunId;
use crate::domain::retention::Keeping;
use crate::error::{ErrorKind, WorldError};
use crate::store::Store;
use crate::store::moving::{
    Cell, EachRow, MovedTable, Row, Side, Singles, TableName, refuse_workers,
};

/// A file that this process holds for a move.
pub struct SqliteSide {
    // Fields are dropped in this order: the connection closes before others may remove its files.
    connection: Connection,
    _claim: HostClaim,
    _guard: Guard,
    path: PathBuf,
    moved_to: Option<String>,
    /// How the run of the last written row keeps its values.
    keeping: Option<(String, Keeping)>,
}

impl SqliteSide {
    /// Holds an existing file, which nobody can write then, until this is dropped.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; `CannotOpen` if there is none; `Invalid` while workers live; `Corrupt` if
    /// it is damaged.
    pub fn source(options: SqliteOptions) -> Result<Self, WorldError> {
        let side = Self::hold(SqliteOptions { location: options.location.existing()?, ..options })?;
        let workers = owners::living(&side.path).map_err(|error| sqlite_upkeep::unseen(&error))?;
        refuse_workers(&side.shown(), workers.len())?;
        if let Some(damage) = examination::damages(&side.connection)?.first() {
            let message = format!("{} is damaged, so it was not moved: {damage}", side.shown());
            return Err(WorldError::new(ErrorKind::Corrupt, message));
        }
        Ok(side)
    }

    /// Makes a file, or holds an existing one.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; `Moved` if it was moved itself.
    pub fn target(options: SqliteOptions) -> Result<Self, WorldError> {
        let side = Self::hold(options)?;
        match &side.moved_to {
            Some(to) => Err(crate::store::moving::moved(to)),
            None => Ok(side),
        }
    }

    fn hold(options: SqliteOptions) -> Result<Self, WorldError> {
        let location = options.location.canonical()?;
        let Location::File(path) = &location else {
            return Err(WorldError::invalid("a database in memory cannot be moved"));
        };
        let (path, host, clock) = (path.clone(), options.host.clone(), options.clock.clone());
        // This makes and repairs whatever is missing. A file that was moved needs nothing more.
        match SqliteStore::open(options) {
            Ok(store) => store.close(),
            Err(error) if error.kind == ErrorKind::Moved => {}
            Err(error) => return Err(error),
        }
        let guard = Guard::join(&path)?;
        let claim = HostClaim::take(&path, host, clock)?;
        let connection = connect::connect(&location, Patience::Long)?;
        connect::overwrite_what_is_deleted(&connection)?;
        connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(|error| fault::at(error.into(), &path))?;
        let moved_to = migrate::moved_to(&connection)?;
        Ok(Self { connection, _claim: claim, _guard: guard, path, moved_to, keeping: None })
    }

    /// How a run keeps its values.
    fn keeping(&mut self, run_id: &Cell) -> Result<Keeping, WorldError> {
        let Cell::Text(run_id) = run_id else { return Ok(Keeping::Kept) };
        if let Some((of, keeping)) = &self.keeping
            && of == run_id
        {
            return Ok(*keeping);
        }
        // Some streams and messages have no run.
        let run = runs::by_id(&self.connection, &RunId::new(run_id.clone()))?;
        let keeping = run.as_ref().map_or(Keeping::Kept, Keeping::of);
        self.keeping = Some((run_id.clone(), keeping));
        Ok(keeping)
    }

    /// Inserts a row: the columns that the checksum covers, the checksum, the rest.
    fn insert(&self, table: &MovedTable, sum: &Table, row: &[Cell]) -> Result<(), WorldError> {
        let (covered, rest) = row.split_at(sum.columns);
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let (before, after) = names.split_at(sum.columns);
        let names = [before, &["checksum"], after].concat();
        self.write_row(table.sql_name, &names, sum, &cells(covered), &cells(rest))
    }

    fn write_row(
        &self,
        table: &str,
        names: &[&str],
        sum: &Table,
        covered: &[&dyn ToSql],
        rest: &[&dyn ToSql],
    ) -> Result<(), WorldError> {
        let places = vec!["?"; names.len()].join(", ");
        let sql = format!("INSERT INTO {table} ({}) VALUES ({places})", names.join(", "));
        sum.write(&mut *self.connection.prepare_cached(&sql)?, covered, rest)?;
        Ok(())
    }

    fn write_event(&mut self, row: &[Cell]) -> Result<(), WorldError> {
        const NAMES: [&str; 14] = [
            "run_id",
            "position",
            "event_type",
            "correlation_id",
            "created_at_ms",
            "spec_version",
            "data",
            "resume_id",
            "resume_digest",
            "payload_format",
            "payload_checksum",
            "checksum",
            "payload",
            "payload_number",
        ];
        let keeping = self.keeping(&row[0])?;
        let (sum, stored) = match (&row[0], &row[1], &row[9], &row[10]) {
            (
                Cell::Text(run_id),
                Cell::Number(position),
                Cell::Number(format),
                Cell::Bytes(payload),
            ) => {
                let run_id = RunId::new(run_id.clone());
                let sum = payload_checksum(&run_id, *position, *format, payload);
                (Some(sum), long_values::store(&self.connection, payload, keeping)?)
            }
            _ => (None, Stored::default()),
        };
        let mut covered = cells(&row[..10]);
        covered.push(&sum);
        self.write_row("events", &NAMES, &EVENTS, &covered, params![stored.in_row, stored.number])
    }

    fn write_hook(&self, row: &[Cell]) -> Result<(), WorldError> {
        const NAMES: [&str; 15] = [
            "run_id",
            "hook_id",
            "token",
            "environment",
            "metadata_position",
            "created_at_ms",
            "disposed_at_ms",
            "spec_version",
            "is_webhook",
            "is_system",
            "retained_until_ms",
            "outlives_run",
            "hook_number",
            "disposal",
            "checksum",
        ];
        let disposal = match row[6] {
            Cell::Null => Cell::Number(0),
            _ => row[12].clone(),
        };
        let mut covered = cells(row);
        covered.push(&disposal);
        self.write_row("hooks", &NAMES, &hooks::HOOKS, &covered, &[])
    }

    fn write_message(&mut self, table: &MovedTable, row: &[Cell]) -> Result<(), WorldError> {
        let keeping = self.keeping(&row[2])?;
        self.insert(table, &MESSAGES, row)?;
        if keeping == Keeping::Dropped {
            const FILL: &str = "UPDATE messages SET filler = ? WHERE message_id = ?";
            let filler = long_values::filler(keeping);
            self.connection.prepare_cached(FILL)?.execute(params![filler, row[0]])?;
        }
        Ok(())
    }

    fn write_chunk(&self, row: &[Cell]) -> Result<(), WorldError> {
        const DROPS: &str = "SELECT drops_chunks FROM streams WHERE stream_number = ?";
        const INSERT: &str = "INSERT INTO chunks \
             (stream_number, chunk_index, checksum, bytes, bytes_number) VALUES (?1, ?2, ?4, ?5, ?6)";
        let Cell::Bytes(bytes) = &row[2] else { return Ok(()) };
        let drops: bool =
            self.connection.prepare_cached(DROPS)?.query_row([&row[0]], |row| row.get(0))?;
        let keeping = if drops { Keeping::Dropped } else { Keeping::Kept };
        let stored = long_values::store(&self.connection, bytes, keeping)?;
        let mut insert = self.connection.prepare_cached(INSERT)?;
        CHUNKS.write(&mut insert, &cells(row), params![stored.in_row, stored.number])?;
        Ok(())
    }

    fn write_stream(&mut self, row: &[Cell]) -> Result<(), WorldError> {
        const NAMES: [&str; 8] = [
            "stream_number",
            "name",
            "run_id",
            "chunk_count",
            "created_at_ms",
            "closed_at_ms",
            "drops_chunks",
            "checksum",
        ];
        let drops = self.keeping(&row[2])? == Keeping::Dropped;
        // The chunks are counted at their end.
        let covered = params![row[0], row[1], row[2], 0, row[3], row[4], drops];
        self.write_row("streams", &NAMES, &STREAMS, covered, &[])
    }

    fn write_replay(&self, row: &[Cell]) -> Result<(), WorldError> {
        const SEEN: &str =
            "UPDATE runs SET replayed_position = ?2, replayed_by = ?3 WHERE run_id = ?1";
        self.connection.prepare_cached(SEEN)?.execute(params![row[0], row[1], row[2]])?;
        Ok(())
    }

    fn write_release(&self, row: &[Cell]) -> Result<(), WorldError> {
        const INSERT: &str = "INSERT INTO releases VALUES (?, ?, ?)";
        self.connection.prepare_cached(INSERT)?.execute(params![row[0], row[1], row[2]])?;
        Ok(())
    }

    fn number(&self, sql: &str) -> Result<i64, WorldError> {
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }
}

fn cells(row: &[Cell]) -> Vec<&dyn ToSql> {
    row.iter().map(|cell| cell as &dyn ToSql).collect()
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Cell::Null => ToSqlOutput::Owned(Value::Null),
            Cell::Number(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Cell::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// The rows of a table.
fn select(table: &MovedTable) -> String {
    let columns: Vec<&str> =
        table.columns.iter().map(|(column, _)| expression(table.name, column)).collect();
    let from = match table.name {
        TableName::Replays => "runs WHERE replayed_by IS NOT NULL",
        _ => table.sql_name,
    };
    format!("SELECT {} FROM {from} ORDER BY {}", columns.join(", "), table.key)
}

/// The value of a column, wherever it is stored.
fn expression(table: TableName, column: &'static str) -> &'static str {
    match (table, column) {
        (TableName::Events, "payload") => {
            "CASE WHEN payload_number IS NULL THEN payload \
             ELSE (SELECT l.bytes FROM long_values AS l WHERE l.number = payload_number) END"
        }
        (TableName::Chunks, "bytes") => {
            "CASE WHEN bytes_number IS NULL THEN bytes \
             ELSE (SELECT l.bytes FROM long_values AS l WHERE l.number = bytes_number) END"
        }
        _ => column,
    }
}

fn cell_of(value: ValueRef<'_>) -> Result<Cell, WorldError> {
    let odd = || WorldError::new(ErrorKind::Corrupt, "the database is damaged: a value is odd");
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Number(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8(text.to_vec()).map_err(|_| odd())?),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => return Err(odd()),
    })
}

impl Side for SqliteSide {
    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn moved_to(&self) -> Option<&str> {
        self.moved_to.as_deref()
    }

    fn is_empty(&mut self) -> Result<bool, WorldError> {
        const ANY: &str = "SELECT EXISTS (SELECT 1 FROM runs) OR EXISTS (SELECT 1 FROM events) \
             OR EXISTS (SELECT 1 FROM messages) OR EXISTS (SELECT 1 FROM streams) \
             OR EXISTS (SELECT 1 FROM resume_keys)";
        Ok(self.number(ANY)? == 0)
    }

    fn count(&mut self, table: &'static MovedTable) -> Result<u64, WorldError> {
        let count = self.number(&format!("SELECT count(*) FROM ({})", select(table)))?;
        Ok(count.unsigned_abs())
    }

    fn read(&mut self, table: &'static MovedTable, each: EachRow<'_>) -> Result<(), WorldError> {
        let mut statement = self.connection.prepare(&select(table))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let cells = (0..table.columns.len()).map(|at| cell_of(row.get_ref(at)?));
            each(cells.collect::<Result<Row, _>>()?)?;
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), WorldError> {
        const CLEAR: &str = "DELETE FROM releases; DELETE FROM encryption_keys";
        Ok(self.connection.execute_batch(CLEAR)?)
    }

    fn write(&mut self, table: &'static MovedTable, row: Row) -> Result<(), WorldError> {
        match table.name {
            TableName::Runs => self.insert(table, &runs::RUNS, &row),
            TableName::Replays => self.write_replay(&row),
            TableName::Events => self.write_event(&row),
            TableName::Steps => self.insert(table, &steps::STEPS, &row),
            TableName::Hooks => self.write_hook(&row),
            TableName::ResumeKeys => self.insert(table, &resume_keys::RESUME_KEYS, &row),
            TableName::Waits => self.insert(table, &waits::WAITS, &row),
            TableName::Messages => self.write_message(table, &row),
            TableName::Chunks => self.write_chunk(&row),
            TableName::Streams => self.write_stream(&row),
            TableName::Releases => self.write_release(&row),
            TableName::EncryptionKeys => self.insert(table, &keys::KEYS, &row),
        }
    }

    fn end(&mut self, table: &'static MovedTable) -> Result<(), WorldError> {
        match table.name {
            TableName::Chunks => Ok(streams::count_chunks(&self.connection)?),
            _ => Ok(()),
        }
    }

    fn singles(&mut self) -> Result<Singles, WorldError> {
        const REACHED: &str = "SELECT max(reached_ms, \
             ifnull((SELECT max(created_at_ms) FROM messages), 0)) FROM queue_time";
        const PREFIX: &str = "SELECT workflow_prefix FROM queue_names";
        const SECRET: &str = "SELECT secret FROM delivery_secret";
        Ok(Singles {
            delivery_secret: self.connection.query_row(SECRET, [], |row| row.get(0))?,
            workflow_prefix: self.connection.query_row(PREFIX, [], |row| row.get(0))?,
            reached_ms: self.number(REACHED)? + 1,
            last_hook_number: self.number("SELECT last_number FROM hook_numbers")?,
        })
    }

    fn keep_singles(&mut self, singles: &Singles) -> Result<(), WorldError> {
        const PREFIX: &str = "INSERT OR REPLACE INTO queue_names VALUES (?, ?, ?)";
        let prefix = params![1, singles.workflow_prefix];
        QUEUE_NAMES.write(&mut self.connection.prepare(PREFIX)?, prefix, &[])?;
        for (sql, value) in [
            ("UPDATE delivery_secret SET secret = ?", &singles.delivery_secret as &dyn ToSql),
            ("UPDATE queue_time SET reached_ms = ?", &singles.reached_ms),
            ("UPDATE hook_numbers SET last_number = ?", &singles.last_hook_number),
        ] {
            self.connection.execute(sql, [value])?;
        }
        Ok(())
    }

    fn mark(&mut self, to: &str, now_ms: i64) -> Result<(), WorldError> {
        migrate::mark_moved(&self.connection, to, now_ms)?;
        self.commit()
    }

    fn unmark(&mut self) -> Result<(), WorldError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        migrate::unmark_moved(&self.connection)?;
        self.commit()
    }

    fn commit(&mut self) -> Result<(), WorldError> {
        self.connection.execute_batch("COMMIT").map_err(|error| fault::at(error.into(), &self.path))
    }
}
