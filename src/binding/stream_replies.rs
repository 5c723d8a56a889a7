//! The replies of streams.

use serde::Serialize;
use serde_json::json;

use super::replies::{PayloadRef, Reply, value};
use crate::board::TailSlice;
use crate::error::WorldError;
use crate::store::StreamSlice;

pub fn streams(streams: Vec<String>) -> Result<Reply, WorldError> {
    value(json!({ "streams": streams }))
}

pub fn stream_info(slice: StreamSlice) -> Result<Reply, WorldError> {
    value(json!({ "tailIndex": slice.count - 1, "done": slice.closed }))
}

#[derive(Serialize)]
struct TailRecord {
    chunks: Vec<PayloadRef>,
    next: i64,
    done: bool,
}

pub fn tail(slice: TailSlice) -> Result<Reply, WorldError> {
    Reply::document(|block| TailRecord {
        chunks: slice.chunks.iter().map(|chunk| block.bytes(chunk)).collect(),
        next: slice.next,
        done: slice.done,
    })
}

#[derive(Serialize)]
struct ChunkRecord {
    index: i64,
    data: PayloadRef,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChunksRecord {
    data: Vec<ChunkRecord>,
    cursor: Option<String>,
    has_more: bool,
    done: bool,
}

/// A page of chunks. `done` says that the stream is closed, even if more pages follow.
pub fn stream_chunks(slice: StreamSlice) -> Result<Reply, WorldError> {
    let next = slice.from + slice.chunks.len() as i64;
    let has_more = next < slice.count;
    Reply::document(|block| ChunksRecord {
        data: (slice.from..)
            .zip(&slice.chunks)
            .map(|(index, chunk)| ChunkRecord { index, data: block.bytes(chunk) })
            .collect(),
        cursor: has_more.then(|| next.to_string()),
        has_more,
        done: slice.closed,
    })
}
