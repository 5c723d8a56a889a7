//! Moves a database into another store: every row as it is, so that sealed values stay sealed and need no
//! key.
//!
//! The target gets everything in one transaction, and the source is held meanwhile. Before the end both
//! sides are compared by digests. Then the source is marked as moved, and only then the target is
//! committed, so that at no moment both can be used. A move that ended between the two is repeated: it
//! finds the mark, which names the target, and goes on.

mod tables;

pub use tables::{Kind, MovedTable, TABLES, TableName};

use crate::crypto::Digest;
use crate::error::{ErrorKind, WorldError};

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// None.
    Null,
    /// A number; a truth value is 0 or 1.
    Number(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Cell {
    /// The bytes of a text or of bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Null | Self::Number(_) => 0,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

/// A row: a cell for each column of its [`MovedTable`].
pub type Row = Vec<Cell>;

/// The rows of tables that hold only one, and the counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Singles {
    /// The secret of deliveries over HTTP.
    pub delivery_secret: Vec<u8>,
    /// The prefix of the queue names of runs.
    pub workflow_prefix: String,
    /// The queue's time: later than every message.
    pub reached_ms: i64,
    /// The number of the last hook.
    pub last_hook_number: i64,
}

/// Does something with each row.
pub type EachRow<'a> = &'a mut dyn FnMut(Row) -> Result<(), WorldError>;

/// A database that is moved or gets what is moved, held by one transaction.
pub trait Side {
    /// Its place, for people; without a password.
    fn shown(&self) -> String;
    /// Where it was moved to, if it is marked so.
    fn moved_to(&self) -> Option<&str>;
    /// Whether nothing of a run is in it.
    fn is_empty(&mut self) -> Result<bool, WorldError>;
    /// The number of rows of a table.
    fn count(&mut self, table: &'static MovedTable) -> Result<u64, WorldError>;
    /// The rows of a table, in the order of its key.
    fn read(&mut self, table: &'static MovedTable, each: EachRow<'_>) -> Result<(), WorldError>;
    /// Deletes what may be in a database without runs: releases and keys.
    fn clear(&mut self) -> Result<(), WorldError>;
    /// Writes the next row of a table.
    fn write(&mut self, table: &'static MovedTable, row: Row) -> Result<(), WorldError>;
    /// Ends the writing of a table.
    fn end(&mut self, table: &'static MovedTable) -> Result<(), WorldError>;
    /// What has one row.
    fn singles(&mut self) -> Result<Singles, WorldError>;
    /// Replaces what has one row.
    fn keep_singles(&mut self, singles: &Singles) -> Result<(), WorldError>;
    /// Marks it as moved, and commits: whoever opens it, or has it open and writes, is refused with
    /// `Moved` and the new place.
    fn mark(&mut self, to: &str, now_ms: i64) -> Result<(), WorldError>;
    /// Takes back a [`Side::mark`].
    fn unmark(&mut self) -> Result<(), WorldError>;
    /// Commits what was written. `CannotOpen` if nobody knows whether it was.
    fn commit(&mut self) -> Result<(), WorldError>;
}

/// The error of whoever uses a database that was moved.
pub(in crate::store) fn moved(to: &str) -> WorldError {
    WorldError::new(
        ErrorKind::Moved,
        format!("this database was moved to {to}: set WORKFLOW_HOOKLINE_URL to that place"),
    )
    .with("movedTo", to)
}

/// A table that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedRows {
    /// Its name.
    pub table: &'static str,
    /// Its number of rows.
    pub rows: u64,
    /// SHA-256 over its rows, the same in every store.
    pub digest: String,
}

/// How far a move is: rows that were copied or compared, of all that will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// So many.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

/// Rows between two words about the progress.
const TELL_EVERY: u64 = 500;

struct Teller<'a> {
    progress: Progress,
    tell: &'a mut dyn FnMut(Progress),
}

impl Teller<'_> {
    fn one_more(&mut self) {
        self.progress.done += 1;
        if self.progress.done.is_multiple_of(TELL_EVERY) {
            (self.tell)(self.progress);
        }
    }
}

/// Moves everything from the source to the target. Returns the tables with their digests.
///
/// # Errors
/// `Moved` if the source was moved to another place already; `Invalid` if the target holds something
/// else; `Internal` if the two sides differ at the end; the errors of the stores. After an error the
/// source is as before, except when it is `CannotOpen` at the end: then the move is to be repeated.
pub fn move_rows(
    source: &mut dyn Side,
    target: &mut dyn Side,
    now_ms: i64,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<MovedRows>, WorldError> {
    let to = target.shown();
    if let Some(place) = source.moved_to().filter(|place| *place != to) {
        return Err(moved(place));
    }
    let copies = target.is_empty()?;
    if copies {
        target.clear()?;
    }
    let rows = TABLES.iter().map(|table| source.count(table)).sum::<Result<u64, _>>()?;
    let mut teller = Teller { progress: Progress { done: 0, total: 2 * rows }, tell };
    (teller.tell)(teller.progress);
    let mut moved = Vec::new();
    for table in &TABLES {
        moved.push(match copies {
            true => copy(table, source, target, &mut teller)?,
            false => digest(table, source, &mut teller)?,
        });
    }
    if copies {
        target.keep_singles(&source.singles()?)?;
    }
    for (table, moved) in TABLES.iter().zip(&moved) {
        if digest(table, target, &mut teller)? != *moved {
            return Err(match (copies, source.moved_to()) {
                (true, _) => differs(table),
                (false, Some(to)) => self::moved(to),
                (false, None) => is_used(&to),
            });
        }
    }
    finish(source, target, &to, now_ms)?;
    Ok(moved)
}

/// The mark comes first. Without it both sides could be used after a crash between the two commits.
fn finish(
    source: &mut dyn Side,
    target: &mut dyn Side,
    to: &str,
    now_ms: i64,
) -> Result<(), WorldError> {
    let was_marked = source.moved_to().is_some();
    if !was_marked {
        source.mark(to, now_ms)?;
    }
    target.commit().map_err(|error| {
        if error.kind == ErrorKind::CannotOpen {
            let message = format!(
                "nobody knows whether the last commit was made; run the same command again: it goes on \
                 or finishes [{}]",
                error.message
            );
            return WorldError { message, ..error };
        }
        let unmarked = if was_marked { Ok(()) } else { source.unmark() };
        match unmarked {
            Ok(()) => error,
            Err(unmarking) => WorldError {
                message: format!(
                    "{}; and {} keeps its mark: run the same command again [{}]",
                    error.message,
                    source.shown(),
                    unmarking.message
                ),
                ..error
            },
        }
    })
}

fn copy(
    table: &'static MovedTable,
    source: &mut dyn Side,
    target: &mut dyn Side,
    teller: &mut Teller<'_>,
) -> Result<MovedRows, WorldError> {
    let mut digest = TableDigest::default();
    source.read(table, &mut |row| {
        digest.add(&row);
        teller.one_more();
        target.write(table, row)
    })?;
    target.end(table)?;
    Ok(digest.of(table))
}

fn digest(
    table: &'static MovedTable,
    side: &mut dyn Side,
    teller: &mut Teller<'_>,
) -> Result<MovedRows, WorldError> {
    let mut digest = TableDigest::default();
    side.read(table, &mut |row| {
        digest.add(&row);
        teller.one_more();
        Ok(())
    })?;
    Ok(digest.of(table))
}

#[derive(Default)]
struct TableDigest {
    digest: Digest,
    rows: u64,
}

impl TableDigest {
    /// Kind and length come before each value, so no two sequences of rows have the same bytes.
    fn add(&mut self, row: &[Cell]) {
        self.rows += 1;
        for cell in row {
            match cell {
                Cell::Null => self.digest.add(&[0]),
                Cell::Number(number) => {
                    self.digest.add(&[1]);
                    self.digest.add(&number.to_be_bytes());
                }
                Cell::Text(text) => self.add_bytes(2, text.as_bytes()),
                Cell::Bytes(bytes) => self.add_bytes(3, bytes),
            }
        }
    }

    fn add_bytes(&mut self, kind: u8, bytes: &[u8]) {
        self.digest.add(&[kind]);
        self.digest.add(&(bytes.len() as u64).to_be_bytes());
        self.digest.add(bytes);
    }

    fn of(self, table: &MovedTable) -> MovedRows {
        MovedRows { table: table.sql_name, rows: self.rows, digest: self.digest.hex() }
    }
}

fn differs(table: &MovedTable) -> WorldError {
    WorldError::new(
        ErrorKind::Internal,
        format!(
            "table {} is not the same in both places, so nothing was moved; please report this",
            table.sql_name
        ),
    )
}

fn is_used(to: &str) -> WorldError {
    WorldError::invalid(format!(
        "{to} holds other runs already, so nothing was moved; name a file or a schema (?schema=..) that \
         does not exist yet"
    ))
}

/// Refuses to move a database in which workers live.
pub(in crate::store) fn refuse_workers(shown: &str, workers: usize) -> Result<(), WorldError> {
    match workers {
        0 => Ok(()),
        _ => Err(WorldError::invalid(format!(
            "workers deliver from {shown} (living: {workers}): stop them, then run this again"
        ))),
    }
}
