//! The methods of `NativeWorld` about streams, and their replies.

use napi::bindgen_prelude::Uint8Array;
use napi::{Env, Result};
use napi_derive::napi;
use serde::Serialize;
use serde_json::json;

use super::promise::JsValue;
use super::replies::{PayloadRef, Reply, value};
use super::requests;
use super::world::{NativeWorld, Outcome, then};
use crate::board::{TailSlice, WaiterId};
use crate::domain::id::RunId;
use crate::store::{Completion, StreamSlice};

#[napi]
impl NativeWorld {
    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn write_stream(
        &self,
        env: Env,
        name: String,
        run_id: String,
        chunks: Vec<Uint8Array>,
    ) -> Result<JsValue> {
        self.promise(env, |engine| {
            for chunk in &chunks {
                requests::refuse_unstorable(chunk)?;
            }
            let chunks = chunks.iter().map(|chunk| chunk.to_vec()).collect();
            Ok(move |done: Completion<Reply>| {
                let done = then(done, |()| Ok(Reply::void()));
                engine.store.write_stream(name, RunId::new(run_id), chunks, done);
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn close_stream(&self, env: Env, name: String, run_id: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                let done = then(done, |()| Ok(Reply::void()));
                engine.store.close_stream(name, RunId::new(run_id), done);
            })
        })
    }

    /// A read's number is unique within this object. The engine adds the World's id.
    fn read_id(&self, number: u32) -> WaiterId {
        WaiterId { world: self.id, number }
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn read_stream(&self, env: Env, request: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            let read: requests::ReadStream = requests::parse(&request)?;
            let (id, read) = (self.read_id(read.read_id), read.into_read()?);
            Ok(move |done: Completion<Reply>| {
                engine.boards.tails.enter(id, read, then(done, tail));
            })
        })
    }

    #[napi(catch_unwind)]
    pub fn stop_reading_stream(&self, read_id: u32) {
        if let Ok(engine) = self.engine() {
            engine.boards.tails.stop(self.read_id(read_id));
        }
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn get_stream_chunks(&self, env: Env, request: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            let request: requests::StreamChunks = requests::parse(&request)?;
            let (from, limit) = (request.from()?, request.limit()?);
            Ok(move |done: Completion<Reply>| {
                let done = then(done, stream_chunks);
                engine.store.stream_slice(request.name, from, limit, done);
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn get_stream_info(&self, env: Env, name: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.store.stream_slice(name, 0, 0, then(done, stream_info));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn list_streams(&self, env: Env, run_id: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.store.streams_of_run(RunId::new(run_id), then(done, streams));
            })
        })
    }
}

fn streams(streams: Vec<String>) -> Outcome<Reply> {
    value(json!({ "streams": streams }))
}

fn stream_info(slice: StreamSlice) -> Outcome<Reply> {
    value(json!({ "tailIndex": slice.count - 1, "done": slice.closed }))
}

#[derive(Serialize)]
struct TailRecord {
    chunks: Vec<PayloadRef>,
    next: i64,
    done: bool,
}

fn tail(slice: TailSlice) -> Outcome<Reply> {
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
fn stream_chunks(slice: StreamSlice) -> Outcome<Reply> {
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
