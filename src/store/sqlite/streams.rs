//! Tables `streams` and `chunks`.

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::domain::id::RunId;
use crate::store::StreamSlice;

/// The stream's number, making the stream if there is none.
fn open(connection: &Connection, name: &str, run_id: &RunId, now_ms: i64) -> Result<StreamRow> {
    const INSERT: &str = "INSERT INTO streams (name, run_id, created_at_ms) VALUES (?, ?, ?) \
         ON CONFLICT (name) DO NOTHING";
    if let Some(stream) = by_name(connection, name)? {
        return Ok(stream);
    }
    connection.prepare_cached(INSERT)?.execute(params![name, run_id.as_str(), now_ms])?;
    let number = connection.last_insert_rowid();
    Ok(StreamRow { number, chunk_count: 0, closed: false })
}

struct StreamRow {
    number: i64,
    chunk_count: i64,
    closed: bool,
}

fn by_name(connection: &Connection, name: &str) -> Result<Option<StreamRow>> {
    const BY_NAME: &str = "SELECT stream_number, chunk_count, closed_at_ms IS NOT NULL \
         FROM streams WHERE name = ?";
    connection
        .prepare_cached(BY_NAME)?
        .query_row([name], |row| {
            Ok(StreamRow { number: row.get(0)?, chunk_count: row.get(1)?, closed: row.get(2)? })
        })
        .optional()
}

/// Appends chunks in the order given; what comes after the end of a stream is ignored.
pub(super) fn append(
    connection: &Connection,
    name: &str,
    run_id: &RunId,
    chunks: &[Vec<u8>],
    now_ms: i64,
) -> Result<()> {
    const INSERT_CHUNK: &str =
        "INSERT INTO chunks (stream_number, chunk_index, bytes) VALUES (?, ?, ?)";
    const COUNT: &str = "UPDATE streams SET chunk_count = ? WHERE stream_number = ?";
    let stream = open(connection, name, run_id, now_ms)?;
    if stream.closed {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(INSERT_CHUNK)?;
    let mut index = stream.chunk_count;
    for chunk in chunks {
        insert.execute(params![stream.number, index, chunk])?;
        index += 1;
    }
    connection.prepare_cached(COUNT)?.execute([index, stream.number])?;
    Ok(())
}

pub(super) fn close(
    connection: &Connection,
    name: &str,
    run_id: &RunId,
    now_ms: i64,
) -> Result<()> {
    const CLOSE: &str =
        "UPDATE streams SET closed_at_ms = ? WHERE stream_number = ? AND closed_at_ms IS NULL";
    let stream = open(connection, name, run_id, now_ms)?;
    connection.prepare_cached(CLOSE)?.execute([now_ms, stream.number])?;
    Ok(())
}

/// A negative `from` counts from the end and stops at the start.
pub(super) fn slice(
    connection: &Connection,
    name: &str,
    from: i64,
    limit: usize,
) -> Result<StreamSlice> {
    const SLICE: &str = "SELECT bytes FROM chunks WHERE stream_number = ? AND chunk_index >= ? \
         ORDER BY chunk_index LIMIT ?";
    let Some(stream) = by_name(connection, name)? else {
        return Ok(StreamSlice { from: from.max(0), ..StreamSlice::default() });
    };
    let from = if from < 0 { (stream.chunk_count + from).max(0) } else { from };
    let chunks = connection
        .prepare_cached(SLICE)?
        .query_map(params![stream.number, from, limit as i64], |row| row.get(0))?
        .collect::<Result<_>>()?;
    Ok(StreamSlice { from, chunks, count: stream.chunk_count, closed: stream.closed })
}

pub(super) fn of_run(connection: &Connection, run_id: &RunId) -> Result<Vec<String>> {
    const OF_RUN: &str = "SELECT name FROM streams WHERE run_id = ? ORDER BY stream_number";
    connection.prepare_cached(OF_RUN)?.query_map([run_id.as_str()], |row| row.get(0))?.collect()
}
