//! The part of `NativeWorld` that `hookline/testing` uses.

use napi::{Env, Result};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::json;

use super::promise::{self, JsValue};
use super::replies::{self, Reply};
use super::requests;
use super::world::{NativeWorld, then};
use crate::error::{ErrorKind, WorldError};
use crate::store::Completion;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailCommit {
    nth: u32,
    code: FaultCode,
}

/// The storage faults that a test may request.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum FaultCode {
    Busy,
    StorageFull,
    Io,
    ReadOnly,
    Corrupt,
}

impl FaultCode {
    fn error(self) -> WorldError {
        let kind = match self {
            FaultCode::Busy => ErrorKind::Busy,
            FaultCode::StorageFull => ErrorKind::StorageFull,
            FaultCode::Io => ErrorKind::Io,
            FaultCode::ReadOnly => ErrorKind::ReadOnly,
            FaultCode::Corrupt => ErrorKind::Corrupt,
        };
        WorldError::new(kind, "a test has planned this fault")
    }
}

#[napi]
impl NativeWorld {
    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn when_idle(&self, env: Env) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                let reply =
                    |next_due_in_ms| replies::value(json!({ "nextDueInMs": next_due_in_ms }));
                engine.when_idle(then(done, reply));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "NativeReply")]
    pub fn skip_time(&self, env: Env, ms: f64) -> Result<JsValue> {
        // A saturating cast: a negative number skips nothing.
        let skipped = self.engine().and_then(|engine| engine.skip_time(ms as u64));
        promise::answer(&env, skipped.map(|()| Reply::void()))
    }

    #[napi(catch_unwind, ts_return_type = "NativeReply")]
    pub fn fail_commit(&self, env: Env, request: String) -> Result<JsValue> {
        let planned = requests::parse(&request).and_then(|request: FailCommit| {
            self.engine()?.fail_commit(request.nth, request.code.error())
        });
        promise::answer(&env, planned.map(|()| Reply::void()))
    }
}
