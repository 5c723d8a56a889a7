//! The part of `NativeWorld` that shows people the queue.

use napi::{Env, Result};
use napi_derive::napi;

use super::promise::JsValue;
use super::replies::{self, Reply};
use super::requests;
use super::world::{NativeWorld, then};
use crate::domain::page::SortOrder;
use crate::store::{Completion, Stopped};

#[napi]
impl NativeWorld {
    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn stats(&self, env: Env) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.stats(then(done, |(depth, pulse)| replies::stats(&depth, &pulse)));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn list_dead_messages(&self, env: Env, query: String) -> Result<JsValue> {
        self.list_stopped(env, Stopped::Dead, &query)
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn list_held_messages(&self, env: Env, query: String) -> Result<JsValue> {
        self.list_stopped(env, Stopped::Held, &query)
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn redrive(&self, env: Env, message_id: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.redrive(&message_id, then(done, replies::message_id));
            })
        })
    }
}

impl NativeWorld {
    fn list_stopped(&self, env: Env, stopped: Stopped, query: &str) -> Result<JsValue> {
        self.promise(env, |engine| {
            let query: requests::ListQuery = requests::parse(query)?;
            let page = query.page(SortOrder::Ascending)?;
            Ok(move |done: Completion<Reply>| {
                let done = then(done, replies::stopped_messages);
                engine.store.stopped_messages(stopped, page, done);
            })
        })
    }
}
