//! The class `NativeWorld`: one short method for each operation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use napi::bindgen_prelude::{FnArgs, Function, Uint8Array};
use napi::{Env, Result};
use napi_derive::napi;

use super::handler::JsHandler;
use super::promise::{self, Answer, JsValue};
use super::replies::{self, Reply};
use super::requests;
use crate::config::{Config, RawConfig};
use crate::domain::id::{CorrelationId, HookToken, RunId};
use crate::domain::page::SortOrder;
use crate::error::{ErrorKind, WorldError};
use crate::queue::delivery::Handler;
use crate::store::{Completion, Store};
use crate::stream::ReadId;
use crate::world::{Engine, World};

type Outcome<T> = std::result::Result<T, WorldError>;

static LAST_WORLD: AtomicU64 = AtomicU64::new(0);

/// One World object's hold on the engine; the contract is `NativeWorld` in `ts/native.ts`.
#[napi]
pub struct NativeWorld {
    config: String,
    id: u64,
    shared: Arc<Mutex<Shared>>,
}

/// What the opening and closing threads share with the JavaScript thread.
#[derive(Default)]
struct Shared {
    world: Option<Arc<World>>,
    handler: Option<Arc<JsHandler>>,
    /// Prefixes that have a handler, also those from before there was a function to call.
    prefixes: Vec<String>,
    closed: bool,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs what blocks away from the JavaScript thread.
fn aside(done: Completion<Reply>, work: impl FnOnce() -> Answer + Send + 'static) {
    let run = move || done.settle(work());
    // Should no thread be had, dropping the closure settles with `Closed`.
    let _ = std::thread::Builder::new().name("hookline-open".into()).spawn(run);
}

fn then<T>(
    done: Completion<Reply>,
    reply: impl FnOnce(T) -> Answer + Send + 'static,
) -> Completion<T> {
    Completion::new(move |outcome: Outcome<T>| done.settle(outcome.and_then(reply)))
}

#[napi]
impl NativeWorld {
    /// Opens nothing; a malformed `config` is an error of `open`.
    #[napi(constructor)]
    pub fn new(config: String) -> Self {
        let id = LAST_WORLD.fetch_add(1, Ordering::Relaxed);
        Self { config, id, shared: Arc::default() }
    }

    fn engine(&self) -> Outcome<Arc<Engine>> {
        let shared = lock(&self.shared);
        shared.world.as_ref().map(|world| Arc::clone(world.engine())).ok_or_else(WorldError::closed)
    }

    /// A promise of an operation of the open engine; an error before it begins settles it too.
    fn promise(
        &self,
        env: Env,
        start: impl FnOnce(Arc<Engine>, Completion<Reply>) -> Outcome<()>,
    ) -> Result<JsValue> {
        let mut early = None;
        let engine = self.engine();
        let value = promise::promise(&env, |done| {
            // The operation owns the completion; a refusal before it has begun takes this one.
            let slot = Arc::new(Mutex::new(Some(done)));
            let mine = Arc::clone(&slot);
            let handed = Completion::new(move |answer| settle_once(&mine, answer));
            early =
                engine.and_then(|engine| start(engine, handed)).err().map(|error| (slot, error));
        });
        if let Some((slot, error)) = early {
            settle_once(&slot, Err(error));
        }
        value
    }

    fn reply(&self, env: Env, read: impl FnOnce(&dyn Store) -> Answer) -> Result<JsValue> {
        let answer = self.engine().and_then(|engine| read(&*engine.store));
        promise::answer(&env, answer)
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn open(&self, env: Env) -> Result<JsValue> {
        let (shared, config, id) = (Arc::clone(&self.shared), self.config.clone(), self.id);
        promise::promise(&env, |done| aside(done, move || open(&shared, &config, id)))
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn close(&self, env: Env) -> Result<JsValue> {
        let shared = Arc::clone(&self.shared);
        promise::promise(&env, |done| {
            aside(done, move || {
                let world = {
                    let mut shared = lock(&shared);
                    shared.closed = true;
                    shared.world.take()
                };
                if let Some(world) = world {
                    world.close();
                }
                lock(&shared).handler = None;
                Ok(Reply::void())
            });
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn append_event(
        &self,
        env: Env,
        request: String,
        payload: Option<&[u8]>,
    ) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let request: requests::AppendEvent = requests::parse(&request)?;
            let event = request.into_event(payload.map(<[u8]>::to_vec))?;
            engine.append_event(event, then(done, replies::event_reply));
            Ok(())
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn resume_hook(&self, env: Env, request: String, payload: &[u8]) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let request: requests::ResumeHook = requests::parse(&request)?;
            let event = request.into_event(payload.to_vec())?;
            engine.resume_hook(event, then(done, replies::event_reply));
            Ok(())
        })
    }

    #[napi(ts_return_type = "NativeReply")]
    pub fn hook_for_resume(&self, env: Env, token: String) -> Result<JsValue> {
        self.reply(env, |store| {
            store.hook_and_run_by_token(&HookToken::new(token)).and_then(replies::hook_and_run)
        })
    }

    #[napi(ts_return_type = "NativeReply")]
    pub fn run_for_resume(&self, env: Env, run_id: String) -> Result<JsValue> {
        self.reply(env, |store| store.run_by_id(&RunId::new(run_id)).and_then(replies::run_alone))
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn get_run(&self, env: Env, run_id: String, resolve_data: bool) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            engine.store.run(RunId::new(run_id), resolve_data, then(done, replies::run));
            Ok(())
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn list_runs(&self, env: Env, query: String) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let query: requests::ListQuery = requests::parse(&query)?;
            engine.store.runs(query.runs()?, then(done, replies::runs));
            Ok(())
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn get_step(
        &self,
        env: Env,
        run_id: Option<String>,
        step_id: String,
        resolve_data: bool,
    ) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let run_id = run_id.filter(|id| !id.is_empty()).map(RunId::new);
            let step_id = CorrelationId::new(step_id);
            engine.store.step(run_id, step_id, resolve_data, then(done, replies::step));
            Ok(())
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn list_steps(&self, env: Env, query: String) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let query: requests::ListQuery = requests::parse(&query)?;
            let (run_id, page) = (query.required_run_id()?, query.page(SortOrder::Descending)?);
            engine.store.steps(run_id, page, query.resolve_data, then(done, replies::steps));
            Ok(())
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn get_event(
        &self,
        env: Env,
        run_id: String,
        event_id: String,
        resolve_data: bool,
    ) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let done = then(done, replies::event);
            engine.store.event(RunId::new(run_id), event_id, resolve_data, done);
            Ok(())
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn list_events(&self, env: Env, query: String) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let query: requests::ListQuery = requests::parse(&query)?;
            engine.store.events(query.events_of_run()?, then(done, replies::events));
            Ok(())
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn list_events_by_correlation_id(&self, env: Env, query: String) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let query: requests::ListQuery = requests::parse(&query)?;
            engine.store.events(query.events_by_correlation_id()?, then(done, replies::events));
            Ok(())
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn get_hook(&self, env: Env, hook_id: String, resolve_data: bool) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            engine.store.hook(CorrelationId::new(hook_id), resolve_data, then(done, replies::hook));
            Ok(())
        })
    }

    #[napi(ts_return_type = "NativeReply")]
    pub fn get_hook_by_token(&self, env: Env, token: String) -> Result<JsValue> {
        self.reply(env, |store| store.hook_by_token(&HookToken::new(token)).and_then(replies::hook))
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn list_hooks(&self, env: Env, query: String) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let query: requests::ListQuery = requests::parse(&query)?;
            let page = query.page(SortOrder::Ascending)?;
            let run_id = query.run_id.filter(|id| !id.is_empty()).map(RunId::new);
            engine.store.hooks(run_id, page, query.resolve_data, then(done, replies::hooks));
            Ok(())
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn enqueue(&self, env: Env, request: String, body: &[u8]) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let request: requests::Enqueue = requests::parse(&request)?;
            engine.enqueue(request.into_request(body.to_vec())?, then(done, replies::message_id));
            Ok(())
        })
    }

    #[napi(
        ts_args_type = "deliver: (delivery: string, body: Uint8Array) => void, appUrl?: string",
        ts_return_type = "Promise<NativeReply>"
    )]
    pub fn start_worker(
        &self,
        env: Env,
        deliver: Function<'_, FnArgs<(String, Uint8Array)>, ()>,
        app_url: Option<String>,
    ) -> Result<JsValue> {
        let (handler, prefixes) = {
            let mut shared = lock(&self.shared);
            let handler = match &shared.handler {
                Some(handler) => Arc::clone(handler),
                None => Arc::clone(shared.handler.insert(JsHandler::new(deliver)?)),
            };
            (handler, shared.prefixes.clone())
        };
        let id = self.id;
        self.promise(env, |engine, done| {
            for prefix in prefixes {
                engine.register_handler(prefix, id, Arc::clone(&handler) as Arc<dyn Handler>);
            }
            engine.start_worker(id, app_url)?;
            done.settle(Ok(Reply::void()));
            Ok(())
        })
    }

    /// Counts from `startWorker` on, which gives the function to call.
    #[napi]
    pub fn handler_registered(&self, prefix: String) {
        let handler = {
            let mut shared = lock(&self.shared);
            if !shared.prefixes.contains(&prefix) {
                shared.prefixes.push(prefix.clone());
            }
            shared.handler.clone()
        };
        if let (Ok(engine), Some(handler)) = (self.engine(), handler) {
            engine.register_handler(prefix, self.id, handler as Arc<dyn Handler>);
        }
    }

    #[napi]
    pub fn settle_delivery(&self, delivery_id: u32, outcome: String) {
        let handler = lock(&self.shared).handler.clone();
        if let Some(handler) = handler {
            handler.settle(delivery_id, &outcome);
        }
    }

    #[napi(ts_return_type = "NativeReply")]
    pub fn verify_delivery(
        &self,
        env: Env,
        message_id: String,
        lease_token: String,
    ) -> Result<JsValue> {
        let valid = self.engine().and_then(|e| e.verify_delivery(&message_id, &lease_token));
        promise::answer(&env, valid.and_then(replies::valid))
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn write_stream(
        &self,
        env: Env,
        name: String,
        run_id: String,
        chunks: Vec<Uint8Array>,
    ) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let chunks = chunks.iter().map(|chunk| chunk.to_vec()).collect();
            let done = then(done, |()| Ok(Reply::void()));
            engine.store.write_stream(name, RunId::new(run_id), chunks, done);
            Ok(())
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn close_stream(&self, env: Env, name: String, run_id: String) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let done = then(done, |()| Ok(Reply::void()));
            engine.store.close_stream(name, RunId::new(run_id), done);
            Ok(())
        })
    }

    /// A read is named within this object; the engine's names are its own.
    fn read_id(&self, read_id: u32) -> ReadId {
        (self.id << 32) | u64::from(read_id)
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn read_stream(&self, env: Env, request: String) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let read: requests::ReadStream = requests::parse(&request)?;
            let limit = read.limit()?;
            let (id, from) = (self.read_id(read.read_id), read.from as i64);
            engine.tails.read(id, read.name, from, limit, then(done, replies::tail));
            Ok(())
        })
    }

    #[napi]
    pub fn stop_reading_stream(&self, read_id: u32) {
        if let Ok(engine) = self.engine() {
            engine.tails.stop(self.read_id(read_id));
        }
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn get_stream_chunks(&self, env: Env, request: String) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            let request: requests::StreamChunks = requests::parse(&request)?;
            let (from, limit) = (request.from()?, request.limit()?);
            let done = then(done, replies::stream_chunks);
            engine.store.stream_slice(request.name, from, limit, done);
            Ok(())
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn get_stream_info(&self, env: Env, name: String) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            engine.store.stream_slice(name, 0, 0, then(done, replies::stream_info));
            Ok(())
        })
    }

    #[napi(ts_return_type = "Promise<NativeReply>")]
    pub fn list_streams(&self, env: Env, run_id: String) -> Result<JsValue> {
        self.promise(env, |engine, done| {
            engine.store.streams_of_run(RunId::new(run_id), then(done, replies::streams));
            Ok(())
        })
    }
}

impl Drop for NativeWorld {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.closed = true;
        if let Some(handler) = shared.handler.take() {
            handler.abandon();
        }
        // The last share closes the database, which may wait: not on the JavaScript thread.
        if let Some(world) = shared.world.take() {
            std::thread::spawn(move || world.close());
        }
    }
}

fn settle_once(slot: &Mutex<Option<Completion<Reply>>>, answer: Answer) {
    let done = slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    if let Some(done) = done {
        done.settle(answer);
    }
}

fn open(shared: &Mutex<Shared>, config: &str, id: u64) -> Answer {
    if lock(shared).world.is_some() {
        return Ok(Reply::void());
    }
    let raw: RawConfig = requests::parse(config)?;
    let world = World::open(Config::parse(&raw)?, id)?;
    let mut shared = lock(shared);
    if shared.closed {
        return Err(WorldError::new(ErrorKind::Closed, "the world was closed while it opened"));
    }
    // Two openings may have raced: the second share is given back when it is dropped.
    shared.world.get_or_insert_with(|| Arc::new(world));
    Ok(Reply::void())
}
