//! The rest of the class `NativeWorld`: the methods behind `start`, `Run`, `waitForHook` and keyed
//! resumes.

use std::sync::atomic::Ordering;

use napi::{Env, Result};
use napi_derive::napi;

use super::event_requests;
use super::promise::{self, JsValue};
use super::replies::{self, Reply};
use super::requests;
use super::world::{NativeWorld, then};
use crate::board::WaiterId;
use crate::domain::id::{HookToken, RunId};
use crate::store::{Completion, Read};
use crate::world::Engine;

#[napi]
impl NativeWorld {
    /// An id for a run that is about to be started. The payload is serialised with it.
    #[napi(catch_unwind, ts_return_type = "NativeReply")]
    pub fn fresh_run_id(&self, env: Env) -> Result<JsValue> {
        let run_id = self.engine().map(|engine| engine.fresh_run_id());
        promise::answer(&env, run_id.and_then(replies::run_id))
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn start_run(&self, env: Env, request: String, payload: &[u8]) -> Result<JsValue> {
        self.promise(env, |engine| {
            let event = event_requests::start_run(&request, payload.to_vec())?;
            Ok(move |done: Completion<Reply>| {
                engine.start_run(event, then(done, |_| Ok(Reply::void())));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn wake_up_run(&self, env: Env, request: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            let request: requests::WakeUpRun = requests::parse(&request)?;
            let (run_id, only) = request.into_parts();
            Ok(move |done: Completion<Reply>| {
                engine.store.complete_waits(run_id, only, then(done, replies::stopped_count));
            })
        })
    }

    /// Waiters have 32-bit numbers. When a number is used again, its old waiter is long gone.
    #[napi(catch_unwind)]
    pub fn fresh_waiter(&self) -> u32 {
        self.next_waiter.fetch_add(1, Ordering::Relaxed)
    }

    /// A waiter's number is unique within this object. The engine adds the World's id.
    fn waiter_id(&self, number: u32) -> WaiterId {
        WaiterId { world: self.id, number }
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn await_run_end(&self, env: Env, waiter: u32, run_id: String) -> Result<JsValue> {
        let id = self.waiter_id(waiter);
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.boards.run_ends.enter(
                    id,
                    RunId::new(run_id),
                    then(done, replies::awaited_run),
                );
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn await_hook(&self, env: Env, waiter: u32, token: String) -> Result<JsValue> {
        let id = self.waiter_id(waiter);
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.boards.hooks.enter(
                    id,
                    HookToken::new(token),
                    then(done, replies::awaited_hook),
                );
            })
        })
    }

    #[napi(catch_unwind)]
    pub fn stop_awaiting(&self, waiter: u32) {
        if let Ok(engine) = self.engine() {
            engine.boards.stop_awaiting(self.waiter_id(waiter));
        }
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn resume_hook_once(&self, env: Env, request: String, payload: &[u8]) -> Result<JsValue> {
        self.promise(env, |engine| {
            let request: requests::ResumeHookOnce = requests::parse(&request)?;
            let (event, key) = request.into_parts(payload.to_vec())?;
            Ok(move |done: Completion<Reply>| {
                engine.resume_hook_once(event, key, then(done, replies::repeated));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "NativeReply | Promise<NativeReply>")]
    pub fn hook_of_step(
        &self,
        env: Env,
        place: String,
        repeated: u32,
        token: String,
    ) -> Result<JsValue> {
        let token = HookToken::new(token);
        let read = |engine: &Engine| engine.store.hook_of_step(&place, repeated, &token);
        self.point_read(env, read, replies::awaited_hook)
    }

    #[napi(catch_unwind, ts_return_type = "NativeReply | Promise<NativeReply>")]
    pub fn earlier_resume(&self, env: Env, request: String) -> Result<JsValue> {
        let key = requests::parse(&request).and_then(requests::ResumeKeyRequest::into_key);
        let read = |engine: &Engine| match key {
            Ok(key) => engine.store.earlier_resume(&key),
            Err(error) => Read::Now(Err(error)),
        };
        self.point_read(env, read, replies::awaited_hook)
    }
}
