//! Tables `streams` and `chunks`.

use super::db::{Columns, Db, Sending, pipelined, values};
use super::writes::{Does, Kind, Write};
use super::{fault, runs};
use crate::domain::health_check::{OldChecks, old_checks};
use crate::domain::id::RunId;
use crate::domain::retention::keeping_of_new_stream;
use crate::error::WorldError;
use crate::store::operation::StreamName;
use crate::store::{Found, StreamRead, StreamSlice};

/// A stream that this transaction has locked.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenStream {
    number: i64,
    /// The index of its next chunk.
    next: i64,
    pub(super) is_closed: bool,
}

impl OpenStream {
    /// The stream when it is closed.
    pub(super) fn closed(self) -> Self {
        Self { is_closed: true, ..self }
    }

    /// The stream with so many chunks more.
    pub(super) fn with(self, chunks: usize) -> Self {
        Self { next: self.next + i64::try_from(chunks).unwrap_or_default(), ..self }
    }
}

/// Locks those of these streams that exist until the end of the transaction; all processes in the order
/// of the names.
pub(super) async fn lock(
    db: &Db,
    names: Vec<String>,
) -> Result<Vec<(String, OpenStream)>, WorldError> {
    const LOCK: &str = "SELECT 1 FROM hookline.streams WHERE name = ANY ($1) \
         ORDER BY name FOR UPDATE";
    // A statement of its own: it sees what the processes left that were waited for.
    const FOUND: &str = "SELECT s.name, s.stream_number, s.closed_at_ms IS NOT NULL, \
         coalesce((SELECT k.chunk_index + 1 FROM hookline.chunks AS k \
           WHERE k.stream_number = s.stream_number ORDER BY k.chunk_index DESC LIMIT 1), 0) \
         FROM hookline.streams AS s WHERE s.name = ANY ($1)";
    let names = values![names];
    let locked: Sending<'_> = Box::pin(async { db.rows(LOCK, &names).await.map(drop) });
    let rows = pipelined(vec![locked], db.rows(FOUND, &names)).await?;
    let found = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        let (name, number) = (columns.take()?, columns.take()?);
        let (is_closed, next) = (columns.take()?, columns.take()?);
        Ok((name, OpenStream { number, next, is_closed }))
    });
    found.collect()
}

/// Locks a stream until the end of the transaction. Makes it if there is none.
///
/// # Errors
/// Those of [`make`].
pub(super) async fn open(
    db: &Db,
    stream: &StreamName,
    now_ms: i64,
) -> Result<OpenStream, WorldError> {
    match lock(db, vec![stream.name.clone()]).await?.pop() {
        Some((_, open)) => Ok(open),
        None => make(db, stream, now_ms).await,
    }
}

/// Makes a stream, unless another process has made it meanwhile, and locks it.
///
/// # Errors
/// `RunExpired` if the values of its run were dropped; storage faults.
pub(super) async fn make(
    db: &Db,
    stream: &StreamName,
    now_ms: i64,
) -> Result<OpenStream, WorldError> {
    const INSERT: &str = "INSERT INTO hookline.streams (name, run_id, created_at_ms) \
         VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING RETURNING stream_number";
    // Some streams have no run.
    if let Some(run) = runs::locked(db, &stream.run_id).await? {
        keeping_of_new_stream(&run)?;
    }
    if let Some(old) = old_checks(&stream.name, now_ms) {
        delete_old_checks(db, old).await?;
    }
    let row = db.first(INSERT, &values![&stream.name, &stream.run_id, now_ms]).await?;
    if let Some(row) = row {
        let number = Columns::of(&row).take()?;
        return Ok(OpenStream { number, next: 0, is_closed: false });
    }
    let made = lock(db, vec![stream.name.clone()]).await?.pop();
    made.map(|(_, open)| open).ok_or_else(fault::clash)
}

async fn delete_old_checks(db: &Db, old: OldChecks) -> Result<(), WorldError> {
    // Another process deletes those that it has locked.
    const DELETE: &str = "WITH first AS (SELECT stream_number, created_at_ms FROM hookline.streams \
           WHERE name >= $1 AND name < $2 ORDER BY name LIMIT $3 FOR UPDATE SKIP LOCKED), \
         old AS (DELETE FROM hookline.streams WHERE stream_number IN \
           (SELECT stream_number FROM first WHERE created_at_ms <= $4) RETURNING stream_number) \
         DELETE FROM hookline.chunks WHERE stream_number IN (SELECT stream_number FROM old)";
    let OldChecks { from, before, looked_at, made_until_ms } = old;
    db.execute(DELETE, &values![from, before, looked_at, made_until_ms]).await?;
    Ok(())
}

/// Appends chunks in the given order.
pub(super) fn append(stream: &OpenStream, chunks: &[Vec<u8>]) -> Vec<Write> {
    const INSERT: &str = "INSERT INTO hookline.chunks (stream_number, chunk_index, bytes) \
         VALUES ($1, $2, $3)";
    static INSERTS: Kind = Kind {
        table: "chunks",
        many: "INSERT INTO hookline.chunks (stream_number, chunk_index, bytes) \
             SELECT * FROM unnest($1, $2, $3)",
        key: 2,
        does: Does::Insert,
    };
    let chunk = |(index, chunk): (i64, &Vec<u8>)| {
        Write::of(&INSERTS, INSERT, values![stream.number, index, chunk])
    };
    (stream.next..).zip(chunks).map(chunk).collect()
}

pub(super) fn close(stream: &OpenStream, now_ms: i64) -> Write {
    const CLOSE: &str = "UPDATE hookline.streams SET closed_at_ms = $2 WHERE stream_number = $1";
    Write::new(CLOSE, values![stream.number, now_ms])
}

/// Drops the chunks of a run's streams and closes these. Returns their names, in the order of their
/// creation.
pub(super) async fn drop_values(
    db: &Db,
    run_id: &RunId,
    now_ms: i64,
) -> Result<Vec<String>, WorldError> {
    const CLOSE: &str = "WITH closed AS (UPDATE hookline.streams \
           SET closed_at_ms = coalesce(closed_at_ms, $2) WHERE run_id = $1 \
           RETURNING stream_number, name) \
         SELECT name FROM closed ORDER BY stream_number";
    const DELETE: &str = "DELETE FROM hookline.chunks WHERE stream_number IN \
         (SELECT stream_number FROM hookline.streams WHERE run_id = $1)";
    let rows = db.rows(CLOSE, &values![run_id, now_ms]).await?;
    db.execute(DELETE, &values![run_id]).await?;
    rows.iter().map(|row| Columns::of(row).take()).collect()
}

/// The result of each read.
pub(super) async fn slices(
    db: &Db,
    reads: Vec<StreamRead>,
) -> Result<Found<StreamRead, StreamSlice>, WorldError> {
    let mut found = Vec::new();
    for read in reads {
        let slice = slice(db, &read.name, read.from, read.limit).await?;
        found.push((read, Ok(slice)));
    }
    Ok(found)
}

/// A negative `from` counts from the end and stops at the start. One statement reads one state of the
/// stream.
async fn slice(db: &Db, name: &str, from: i64, limit: usize) -> Result<StreamSlice, WorldError> {
    const SLICE: &str = "SELECT s.closed_at_ms IS NOT NULL, c.count, f.first, \
           ARRAY(SELECT k.bytes FROM hookline.chunks AS k WHERE k.stream_number = s.stream_number \
             AND k.chunk_index >= f.first ORDER BY k.chunk_index LIMIT $3) \
         FROM hookline.streams AS s \
         CROSS JOIN LATERAL (SELECT coalesce(max(k.chunk_index) + 1, 0) AS count \
           FROM hookline.chunks AS k WHERE k.stream_number = s.stream_number) AS c \
         CROSS JOIN LATERAL (SELECT CASE WHEN $2 < 0 THEN greatest(c.count + $2, 0) ELSE $2 END \
           AS first) AS f WHERE s.name = $1";
    let Some(row) = db.first(SLICE, &values![name, from, limit]).await? else {
        return Ok(StreamSlice { from: from.max(0), ..StreamSlice::default() });
    };
    let mut columns = Columns::of(&row);
    let (closed, count) = (columns.take()?, columns.take()?);
    Ok(StreamSlice { from: columns.take()?, chunks: columns.take()?, count, closed })
}

pub(super) async fn of_run(db: &Db, run_id: &RunId) -> Result<Vec<String>, WorldError> {
    const OF_RUN: &str =
        "SELECT name FROM hookline.streams WHERE run_id = $1 ORDER BY stream_number + 0";
    let rows = db.rows(OF_RUN, &values![run_id]).await?;
    rows.iter().map(|row| Columns::of(row).take()).collect()
}
