//! The methods of `NativeWorld` that read runs, steps, hooks and events.

use napi::{Env, Result};
use napi_derive::napi;

use super::promise::JsValue;
use super::replies::{self, Reply};
use super::requests;
use super::world::{NativeWorld, then};
use crate::domain::id::{CorrelationId, HookToken, RunId};
use crate::domain::page::SortOrder;
use crate::store::Completion;

#[napi]
impl NativeWorld {
    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn get_run(&self, env: Env, run_id: String, resolve_data: bool) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.store.run(RunId::new(run_id), resolve_data, then(done, replies::run));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn list_runs(&self, env: Env, query: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            let query: requests::ListQuery = requests::parse(&query)?;
            let query = query.runs()?;
            Ok(move |done: Completion<Reply>| {
                engine.store.runs(query, then(done, replies::runs));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn get_step(
        &self,
        env: Env,
        run_id: Option<String>,
        step_id: String,
        resolve_data: bool,
    ) -> Result<JsValue> {
        self.promise(env, |engine| {
            let run_id = run_id.filter(|id| !id.is_empty()).map(RunId::new);
            let step_id = CorrelationId::new(step_id);
            Ok(move |done: Completion<Reply>| {
                engine.store.step(run_id, step_id, resolve_data, then(done, replies::step));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn list_steps(&self, env: Env, query: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            let query: requests::ListQuery = requests::parse(&query)?;
            let (run_id, page) = (query.required_run_id()?, query.page(SortOrder::Descending)?);
            Ok(move |done: Completion<Reply>| {
                engine.store.steps(run_id, page, query.resolve_data, then(done, replies::steps));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn get_event(
        &self,
        env: Env,
        run_id: String,
        event_id: String,
        resolve_data: bool,
    ) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                let done = then(done, replies::event);
                engine.store.event(RunId::new(run_id), event_id, resolve_data, done);
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn list_events(&self, env: Env, query: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            let query: requests::ListQuery = requests::parse(&query)?;
            let query = query.events_of_run()?;
            Ok(move |done: Completion<Reply>| {
                engine.store.events(query, then(done, replies::events));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn list_events_by_correlation_id(&self, env: Env, query: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            let query: requests::ListQuery = requests::parse(&query)?;
            let query = query.events_by_correlation_id()?;
            Ok(move |done: Completion<Reply>| {
                engine.store.events(query, then(done, replies::events));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn get_hook(&self, env: Env, hook_id: String, resolve_data: bool) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.store.hook(
                    CorrelationId::new(hook_id),
                    resolve_data,
                    then(done, replies::hook),
                );
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "NativeReply | Promise<NativeReply>")]
    pub fn get_hook_by_token(&self, env: Env, token: String) -> Result<JsValue> {
        let token = HookToken::new(token);
        self.point_read(env, |engine| engine.store.hook_by_token(&token), replies::hook)
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn list_hooks(&self, env: Env, query: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            let query: requests::ListQuery = requests::parse(&query)?;
            let page = query.page(SortOrder::Ascending)?;
            let run_id = query.run_id.filter(|id| !id.is_empty()).map(RunId::new);
            Ok(move |done: Completion<Reply>| {
                engine.store.hooks(run_id, page, query.resolve_data, then(done, replies::hooks));
            })
        })
    }
}
