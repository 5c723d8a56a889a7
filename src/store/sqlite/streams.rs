//! Tables `streams` and `chunks`.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, OptionalExtension, Result, Row, params};

use super::checksum::{self, Check, Table};
use super::long_values::{self, Stored};
use super::runs;
use crate::domain::health_check::{OldChecks, old_checks};
use crate::domain::id::RunId;
use crate::domain::retention::{Keeping, keeping_of_new_stream};
use crate::error::WorldError;
use crate::store::{Found, StreamRead, StreamSlice};

/// What may also be refused.
type Outcome<T> = std::result::Result<T, WorldError>;

pub(super) static STREAMS: Table = Table { name: "streams", columns: 7, key: &[1] };
pub(super) static CHUNKS: Table = Table { name: "chunks", columns: 3, key: &[0, 1] };

macro_rules! columns {
    () => {
        "stream_number, name, run_id, chunk_count, created_at_ms, closed_at_ms, drops_chunks, checksum"
    };
}

/// Selects chunks: the covered columns, then their checksum.
macro_rules! select_chunks {
    () => {
        "SELECT stream_number, chunk_index, CASE WHEN bytes_number IS NULL THEN bytes \
           ELSE (SELECT bytes FROM long_values WHERE number = bytes_number) END, checksum \
         FROM chunks"
    };
}

#[derive(Clone)]
struct StreamRow {
    number: i64,
    name: String,
    run_id: RunId,
    chunk_count: i64,
    created_at_ms: i64,
    closed_at_ms: Option<i64>,
    keeping: Keeping,
}

/// Checks and reads the [`columns`].
fn stream_of(row: &Row<'_>) -> Result<StreamRow> {
    STREAMS.verify(row, 0)?;
    Ok(StreamRow {
        number: row.get(0)?,
        name: row.get(1)?,
        run_id: RunId::new(row.get::<_, String>(2)?),
        chunk_count: row.get(3)?,
        created_at_ms: row.get(4)?,
        closed_at_ms: row.get(5)?,
        keeping: if row.get(6)? { Keeping::Dropped } else { Keeping::Kept },
    })
}

/// Runs a statement whose parameters are the [`columns`].
fn write(connection: &Connection, sql: &str, stream: &StreamRow) -> Result<()> {
    let columns = params![
        stream.number,
        stream.name,
        stream.run_id.as_str(),
        stream.chunk_count,
        stream.created_at_ms,
        stream.closed_at_ms,
        stream.keeping == Keeping::Dropped,
    ];
    STREAMS.write(&mut *connection.prepare_cached(sql)?, columns, &[])?;
    Ok(())
}

fn update(connection: &Connection, stream: &StreamRow) -> Result<()> {
    const UPDATE: &str = "UPDATE streams SET chunk_count = ?4, closed_at_ms = ?6, checksum = ?8 \
         WHERE stream_number = ?1";
    write(connection, UPDATE, stream)
}

/// The stream. Makes it if there is none.
///
/// # Errors
/// `RunExpired` if the values of its run were dropped; storage faults.
fn open(connection: &Connection, name: &str, run_id: &RunId, now_ms: i64) -> Outcome<StreamRow> {
    const NEXT: &str = "SELECT ifnull(max(stream_number), 0) + 1 FROM streams";
    const INSERT: &str =
        concat!("INSERT INTO streams (", columns!(), ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    if let Some(stream) = by_name(connection, name)? {
        return Ok(stream);
    }
    // Some streams have no run.
    let run = runs::by_id(connection, run_id)?;
    let keeping = run.as_ref().map_or(Ok(Keeping::Kept), keeping_of_new_stream)?;
    let stream = StreamRow {
        number: connection.prepare_cached(NEXT)?.query_row([], |row| row.get(0))?,
        name: name.to_owned(),
        run_id: run_id.clone(),
        chunk_count: 0,
        created_at_ms: now_ms,
        closed_at_ms: None,
        keeping,
    };
    write(connection, INSERT, &stream)?;
    if let Some(old) = old_checks(name, now_ms) {
        delete_old_checks(connection, old)?;
    }
    Ok(stream)
}

fn delete_old_checks(connection: &Connection, old: OldChecks) -> Result<()> {
    const OLD: &str = "SELECT stream_number FROM (SELECT stream_number, created_at_ms FROM streams \
           WHERE name >= ? AND name < ? ORDER BY name LIMIT ?) WHERE created_at_ms <= ?";
    const DELETE: &str = "DELETE FROM streams WHERE stream_number = ?";
    let OldChecks { from, before, looked_at, made_until_ms } = old;
    let mut found = connection.prepare_cached(OLD)?;
    let numbers =
        found.query_map(params![from, before, looked_at, made_until_ms], |row| row.get(0))?;
    for number in numbers.collect::<Result<Vec<i64>>>()? {
        delete_chunks(connection, number)?;
        connection.prepare_cached(DELETE)?.execute([number])?;
    }
    Ok(())
}

fn delete_chunks(connection: &Connection, stream: i64) -> Result<()> {
    const DELETE_LONG: &str = "DELETE FROM long_values WHERE number IN \
         (SELECT bytes_number FROM chunks WHERE stream_number = ? AND bytes_number IS NOT NULL)";
    const DELETE: &str = "DELETE FROM chunks WHERE stream_number = ?";
    connection.prepare_cached(DELETE_LONG)?.execute([stream])?;
    connection.prepare_cached(DELETE)?.execute([stream])?;
    Ok(())
}

fn by_name(connection: &Connection, name: &str) -> Result<Option<StreamRow>> {
    const BY_NAME: &str = concat!("SELECT ", columns!(), " FROM streams WHERE name = ?");
    let stream = connection.prepare_cached(BY_NAME)?.query_row([name], stream_of).optional()?;
    match stream {
        // A damaged index may lead to another stream.
        Some(stream) if stream.name != name => {
            Err(checksum::damage(STREAMS.name, stream.number.to_string()))
        }
        stream => Ok(stream),
    }
}

/// Stores the number of chunks of every stream, after chunks were written past the streams.
pub(super) fn count_chunks(connection: &Connection) -> Result<()> {
    const ALL: &str = concat!("SELECT ", columns!(), " FROM streams");
    const COUNT: &str = "SELECT count(*) FROM chunks WHERE stream_number = ?";
    let mut all = connection.prepare_cached(ALL)?;
    for stream in all.query_map([], stream_of)?.collect::<Result<Vec<_>>>()? {
        let chunk_count =
            connection.prepare_cached(COUNT)?.query_row([stream.number], |row| row.get(0))?;
        update(connection, &StreamRow { chunk_count, ..stream })?;
    }
    Ok(())
}

/// Checks every stream.
pub(super) const CHECK: Check = Check {
    rows: concat!("SELECT ", columns!(), " FROM streams"),
    verify: |row| STREAMS.verify(row, 0),
};

/// Checks every chunk.
pub(super) const CHECK_CHUNKS: Check =
    Check { rows: select_chunks!(), verify: |row| CHUNKS.verify(row, 0) };

/// Appends chunks in the given order. Chunks after the end of a stream are ignored.
pub(super) fn append(
    connection: &Connection,
    name: &str,
    run_id: &RunId,
    chunks: &[Vec<u8>],
    now_ms: i64,
) -> Outcome<()> {
    let mut stream = open(connection, name, run_id, now_ms)?;
    if stream.closed_at_ms.is_some() {
        return Ok(());
    }
    for chunk in chunks {
        insert_chunk(connection, &stream, chunk)?;
        stream.chunk_count += 1;
    }
    Ok(update(connection, &stream)?)
}

/// Inserts the next chunk of a stream.
fn insert_chunk(connection: &Connection, stream: &StreamRow, chunk: &[u8]) -> Result<()> {
    const INSERT: &str = "INSERT INTO chunks (stream_number, chunk_index, bytes, bytes_number, checksum) \
         VALUES (?, ?, ?, ?, ?)";
    let StreamRow { number: stream, chunk_count: index, keeping, .. } = *stream;
    let covered = [ValueRef::Integer(stream), ValueRef::Integer(index), ValueRef::Blob(chunk)];
    let checksum = checksum::of_values(CHUNKS.name, &covered);
    let Stored { in_row, number } = long_values::store(connection, chunk, keeping)?;
    let columns = params![stream, index, in_row, number, checksum];
    connection.prepare_cached(INSERT)?.execute(columns)?;
    Ok(())
}

pub(super) fn close(
    connection: &Connection,
    name: &str,
    run_id: &RunId,
    now_ms: i64,
) -> Outcome<()> {
    let stream = open(connection, name, run_id, now_ms)?;
    match stream.closed_at_ms {
        Some(_) => Ok(()),
        None => Ok(update(connection, &StreamRow { closed_at_ms: Some(now_ms), ..stream })?),
    }
}

/// Drops the chunks of a run's streams and closes these. Returns their names.
pub(super) fn drop_values(
    connection: &Connection,
    run_id: &RunId,
    now_ms: i64,
) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for stream in streams_of(connection, run_id)? {
        delete_chunks(connection, stream.number)?;
        let closed_at_ms = stream.closed_at_ms.or(Some(now_ms));
        update(connection, &StreamRow { chunk_count: 0, closed_at_ms, ..stream.clone() })?;
        names.push(stream.name);
    }
    Ok(names)
}

/// The result of each read.
pub(super) fn slices(
    connection: &Connection,
    reads: Vec<StreamRead>,
) -> Result<Found<StreamRead, StreamSlice>> {
    let found = |read: StreamRead| {
        let slice = slice(connection, &read.name, read.from, read.limit)?;
        Ok((read, Ok(slice)))
    };
    reads.into_iter().map(found).collect()
}

/// A negative `from` counts from the end and stops at the start.
fn slice(connection: &Connection, name: &str, from: i64, limit: usize) -> Result<StreamSlice> {
    const SLICE: &str = concat!(
        select_chunks!(),
        " WHERE stream_number = ? AND chunk_index >= ? ORDER BY chunk_index LIMIT ?"
    );
    let Some(stream) = by_name(connection, name)? else {
        CHECK.around(connection, &["name"], params![name])?;
        return Ok(StreamSlice { from: from.max(0), ..StreamSlice::default() });
    };
    let from = if from < 0 { (stream.chunk_count + from).max(0) } else { from };
    let mut index = from;
    let chunk_of = |row: &Row<'_>| {
        CHUNKS.verify(row, 0)?;
        // Chunks are numbered without gaps, so a missing one is lost.
        if row.get::<_, i64>(1)? != index {
            return Err(chunk_missing(&stream, index));
        }
        index += 1;
        row.get(2)
    };
    let chunks: Vec<Vec<u8>> = connection
        .prepare_cached(SLICE)?
        .query_map(params![stream.number, from, limit as i64], chunk_of)?
        .collect::<Result<_>>()?;
    if index < stream.chunk_count && chunks.len() < limit {
        return Err(chunk_missing(&stream, index));
    }
    let (count, closed) = (stream.chunk_count, stream.closed_at_ms.is_some());
    Ok(StreamSlice { from, chunks, count, closed })
}

fn chunk_missing(stream: &StreamRow, index: i64) -> Error {
    checksum::damage(CHUNKS.name, format!("{} {index}", stream.number))
}

pub(super) fn of_run(connection: &Connection, run_id: &RunId) -> Result<Vec<String>> {
    Ok(streams_of(connection, run_id)?.into_iter().map(|stream| stream.name).collect())
}

/// The streams of a run in the order of their creation.
fn streams_of(connection: &Connection, run_id: &RunId) -> Result<Vec<StreamRow>> {
    const OF_RUN: &str =
        concat!("SELECT ", columns!(), " FROM streams WHERE run_id = ? ORDER BY stream_number");
    let of_run = |row: &Row<'_>| {
        let stream = stream_of(row)?;
        match stream.run_id == *run_id {
            true => Ok(stream),
            // A damaged index may lead to another stream.
            false => Err(checksum::damage(STREAMS.name, stream.number.to_string())),
        }
    };
    let streams =
        connection.prepare_cached(OF_RUN)?.query_map([run_id.as_str()], of_run)?.collect();
    CHECK.around(connection, &["run_id"], params![run_id.as_str()])?;
    streams
}
