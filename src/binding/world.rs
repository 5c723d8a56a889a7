//! The class `NativeWorld`: its life, and one short method for each operation that no other file has.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use napi::bindgen_prelude::{FnArgs, Function, Uint8Array};
use napi::{Env, Result};
use napi_derive::napi;

use super::event_requests::{AppendEvent, AppendEvents};
use super::handler::{JsHandler, fault_listener};
use super::promise::{self, Answer, JsValue};
use super::replies::{self, Reply};
use super::requests;
use crate::config::{Config, RawConfig};
use crate::domain::id::{HookToken, RunId};
use crate::error::{ErrorKind, WorldError};
use crate::lock::lock;
use crate::queue::admission::Admissions;
use crate::queue::delivery::Handler;
use crate::queue::dispatcher::DRAIN;
use crate::queue::pulse::FaultListener;
use crate::store::{Completion, PlainResume, Read};
use crate::world::{Engine, World};

pub(super) type Outcome<T> = std::result::Result<T, WorldError>;

static LAST_WORLD: AtomicU64 = AtomicU64::new(0);

/// One World object's share of the engine. The contract is `NativeWorld` in `ts/native/binding.ts`.
#[napi]
pub struct NativeWorld {
    pub(super) config: String,
    pub(super) id: u64,
    pub(super) next_waiter: AtomicU32,
    shared: Arc<Mutex<Shared>>,
}

/// The state that the opening and closing threads share with the JavaScript thread.
#[derive(Default)]
struct Shared {
    life: Life,
    handler: Option<Arc<JsHandler>>,
    /// Reports faults, from `startWorker` on.
    warns: Option<Arc<FaultListener>>,
    /// The deliveries over HTTP that this World's routes run. They may end after this World has closed,
    /// while other Worlds continue with its engine.
    admissions: Option<Arc<Admissions>>,
    /// Prefixes that have a handler, including those from before `startWorker`.
    prefixes: Vec<String>,
}

/// The life of a World object. The states follow in this order, and none is repeated.
#[derive(Default)]
enum Life {
    #[default]
    New,
    Opening,
    Open(Arc<World>),
    /// Its deliveries may still finish, with the engine.
    Closing(Arc<World>),
    Closed,
}

impl Life {
    fn world(&self) -> Option<&Arc<World>> {
        match self {
            Life::Open(world) | Life::Closing(world) => Some(world),
            Life::New | Life::Opening | Life::Closed => None,
        }
    }

    /// Prevents a later opening.
    fn close(&mut self) {
        *self = match std::mem::take(self) {
            Life::Open(world) | Life::Closing(world) => Life::Closing(world),
            Life::New | Life::Opening | Life::Closed => Life::Closed,
        };
    }

    /// Ends the life when nothing of it uses the engine. Returns the share of the engine to give up.
    fn end(&mut self) -> Option<Arc<World>> {
        match std::mem::replace(self, Life::Closed) {
            Life::Open(world) | Life::Closing(world) => Some(world),
            Life::New | Life::Opening | Life::Closed => None,
        }
    }
}

/// Runs blocking work on another thread than JavaScript's.
pub(super) fn aside(done: Completion<Reply>, work: impl FnOnce() -> Answer + Send + 'static) {
    let run = move || done.settle(work());
    // If no thread can be started, dropping the closure settles with `Closed`.
    let _ = std::thread::Builder::new().name("hookline-open".into()).spawn(run);
}

pub(super) fn then<T>(
    done: Completion<Reply>,
    reply: impl FnOnce(T) -> Answer + Send + 'static,
) -> Completion<T> {
    Completion::new(move |outcome: Outcome<T>| done.settle(outcome.and_then(reply)))
}

#[napi]
impl NativeWorld {
    /// Opens nothing; a malformed `config` is an error of `open`.
    #[napi(constructor, catch_unwind)]
    pub fn new(config: String) -> Self {
        let id = LAST_WORLD.fetch_add(1, Ordering::Relaxed);
        Self { config, id, next_waiter: AtomicU32::new(0), shared: Arc::default() }
    }

    pub(super) fn engine(&self) -> Outcome<Arc<Engine>> {
        Ok(Arc::clone(self.world()?.engine()))
    }

    pub(super) fn world(&self) -> Outcome<Arc<World>> {
        lock(&self.shared).life.world().cloned().ok_or_else(WorldError::closed)
    }

    /// The deliveries that this World's routes run. After the World was open once, this works even if
    /// it has been closed.
    pub(super) fn admissions(&self) -> Outcome<Arc<Admissions>> {
        let mut shared = lock(&self.shared);
        if let Some(world) = shared.life.world() {
            shared.admissions = Some(Arc::clone(&world.engine().admissions));
        }
        shared.admissions.clone().ok_or_else(WorldError::closed)
    }

    /// A promise of an operation of the open engine. `prepare` reads the request: an error is the
    /// answer, and a success starts the operation.
    pub(super) fn promise<S: FnOnce(Completion<Reply>)>(
        &self,
        env: Env,
        prepare: impl FnOnce(Arc<Engine>) -> Outcome<S>,
    ) -> Result<JsValue> {
        let prepared = self.engine().and_then(prepare);
        promise::promise(&env, |done| match prepared {
            Ok(start) => start(done),
            Err(error) => done.settle(Err(error)),
        })
    }

    /// The answer of a point read of the open engine, or a promise of it.
    pub(super) fn point_read<T: 'static>(
        &self,
        env: Env,
        read: impl FnOnce(&Engine) -> Read<T>,
        reply: impl FnOnce(T) -> Answer + Send + 'static,
    ) -> Result<JsValue> {
        let read = self.engine().map_or_else(|error| Read::Now(Err(error)), |engine| read(&engine));
        promise::answer_or_promise(&env, read, reply)
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn open(&self, env: Env) -> Result<JsValue> {
        let (shared, config, id) = (Arc::clone(&self.shared), self.config.clone(), self.id);
        promise::promise(&env, |done| aside(done, move || open(&shared, &config, id)))
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn close(&self, env: Env) -> Result<JsValue> {
        let shared = Arc::clone(&self.shared);
        promise::promise(&env, |done| {
            aside(done, move || {
                close(&shared);
                Ok(Reply::void())
            });
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn drain(&self, env: Env) -> Result<JsValue> {
        let shared = Arc::clone(&self.shared);
        promise::promise(&env, |done| {
            aside(done, move || {
                drain(&shared);
                Ok(Reply::void())
            });
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn append_event(
        &self,
        env: Env,
        request: String,
        payload: Option<&[u8]>,
    ) -> Result<JsValue> {
        self.promise(env, |engine| {
            let request: AppendEvent = requests::parse(&request)?;
            let event = request.into_event(payload.map(<[u8]>::to_vec))?;
            Ok(move |done: Completion<Reply>| {
                engine.append_event(event, then(done, replies::event_reply));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn append_events(&self, env: Env, request: String, bytes: &[u8]) -> Result<JsValue> {
        self.promise(env, |engine| {
            let request: AppendEvents = requests::parse(&request)?;
            let events = request.into_events(bytes)?;
            Ok(move |done: Completion<Reply>| {
                engine.store.append_events(events, then(done, replies::appended));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn resume_hook(&self, env: Env, request: String, payload: &[u8]) -> Result<JsValue> {
        self.promise(env, |engine| {
            let request: requests::ResumeHook = requests::parse(&request)?;
            let event = request.into_event(payload.to_vec())?;
            Ok(move |done: Completion<Reply>| {
                engine.resume_hook(event, then(done, |_| Ok(Reply::void())));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "NativeReply | Promise<NativeReply>")]
    pub fn hook_for_resume(&self, env: Env, token: String) -> Result<JsValue> {
        let token = HookToken::new(token);
        let read = |engine: &Engine| engine.store.hook_and_run_by_token(&token);
        let reply = |(hook, run)| replies::hook_and_run(hook, run, false);
        self.point_read(env, read, reply)
    }

    #[napi(catch_unwind)]
    pub fn looks_up_remotely(&self) -> bool {
        self.engine().is_ok_and(|engine| engine.store.looks_up_remotely())
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn resume_plainly(&self, env: Env, token: String, payload: &[u8]) -> Result<JsValue> {
        let resume = PlainResume { token: HookToken::new(token), payload: payload.to_vec() };
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                let reply = |(hook, run, is_resumed)| replies::hook_and_run(hook, run, is_resumed);
                engine.resume_plainly(resume, then(done, reply));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "NativeReply | Promise<NativeReply>")]
    pub fn run_for_resume(&self, env: Env, run_id: String) -> Result<JsValue> {
        let run_id = RunId::new(run_id);
        self.point_read(env, |engine| engine.store.run_by_id(&run_id), replies::run_alone)
    }

    #[napi(catch_unwind, ts_return_type = "NativeReply | Promise<NativeReply>")]
    pub fn run_key(&self, env: Env, run_id: String, input: Option<&[u8]>) -> Result<JsValue> {
        let (run_id, input) = (RunId::new(run_id), input.map(<[u8]>::to_vec));
        self.point_read(
            env,
            |engine| engine.run_key(run_id, input),
            |key| Ok(replies::run_key(key)),
        )
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn enqueue(&self, env: Env, request: String, body: &[u8]) -> Result<JsValue> {
        self.promise(env, |engine| {
            let request: requests::Enqueue = requests::parse(&request)?;
            let request = request.into_request(body.to_vec())?;
            Ok(move |done: Completion<Reply>| {
                engine.enqueue(request, then(done, replies::message_id));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn enqueue_all(&self, env: Env, request: String, bodies: &[u8]) -> Result<JsValue> {
        self.promise(env, |engine| {
            let request: requests::EnqueueAll = requests::parse(&request)?;
            let requests = request.into_requests(bodies)?;
            Ok(move |done: Completion<Reply>| {
                engine.enqueue_all(requests, then(done, replies::enqueued));
            })
        })
    }

    #[napi(
        catch_unwind,
        ts_args_type = "deliver: (delivery: string, body: Uint8Array) => void, warn: (fault: string) => void, app: string",
        ts_return_type = "Promise<NativeReply>"
    )]
    pub fn start_worker(
        &self,
        env: Env,
        deliver: Function<'_, FnArgs<(String, Uint8Array)>, ()>,
        warn: Function<'_, String, ()>,
        app: String,
    ) -> Result<JsValue> {
        let (handler, warns, prefixes) = {
            let mut shared = lock(&self.shared);
            let handler = match &shared.handler {
                Some(handler) => Arc::clone(handler),
                None => Arc::clone(shared.handler.insert(JsHandler::new(deliver)?)),
            };
            let warns = match &shared.warns {
                Some(warns) => Arc::clone(warns),
                None => Arc::clone(shared.warns.insert(fault_listener(warn)?)),
            };
            (handler, warns, shared.prefixes.clone())
        };
        let world = self.world();
        self.promise(env, |_| {
            let world = world?;
            let app = requests::parse::<requests::App>(&app)?.into_address();
            for prefix in prefixes {
                world.register_handler(prefix, Arc::clone(&handler) as Arc<dyn Handler>);
            }
            world.on_fault(Arc::downgrade(&warns));
            Ok(move |done: Completion<Reply>| {
                aside(done, move || {
                    world.start_worker(app)?;
                    replies::worker(world.engine().store.lacks_session())
                });
            })
        })
    }

    /// Takes effect at `startWorker`, which gives the function to call.
    #[napi(catch_unwind)]
    pub fn handler_registered(&self, prefix: String) {
        let mut shared = lock(&self.shared);
        if !shared.prefixes.contains(&prefix) {
            shared.prefixes.push(prefix.clone());
        }
        if let (Some(world), Some(handler)) = (shared.life.world(), &shared.handler) {
            world.register_handler(prefix, Arc::clone(handler) as Arc<dyn Handler>);
        }
    }

    #[napi(catch_unwind)]
    pub fn settle_delivery(&self, delivery_id: u32, outcome: String) {
        let handler = lock(&self.shared).handler.clone();
        if let Some(handler) = handler {
            handler.settle(delivery_id, &outcome);
        }
    }
}

impl Drop for NativeWorld {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.warns = None;
        if let Some(handler) = shared.handler.take() {
            handler.abandon();
        }
        // The last share closes the database, which may block. So it is not closed on the JavaScript
        // thread.
        if let Some(world) = shared.life.end() {
            std::thread::spawn(move || world.close());
        }
    }
}

/// Lets JavaScript finish its deliveries with the engine until the grace period is over. Then gives up
/// the share of the engine.
fn close(shared: &Mutex<Shared>) {
    lock(shared).life.close();
    drain(shared);
    let world = lock(shared).life.end();
    if let Some(world) = world {
        world.close();
    }
    let mut shared = lock(shared);
    (shared.handler, shared.warns) = (None, None);
}

/// Stops delivering. Current deliveries may finish within the grace period, and the others go back to
/// the queue.
fn drain(shared: &Mutex<Shared>) {
    let (world, handler) = {
        let shared = lock(shared);
        (shared.life.world().cloned(), shared.handler.clone())
    };
    if let Some(world) = &world {
        world.stop_handling();
    }
    if let Some(handler) = handler {
        handler.drain(DRAIN);
        handler.abandon();
    }
    if let Some(world) = &world {
        world.stop_worker();
    }
}

fn open(shared: &Mutex<Shared>, config: &str, id: u64) -> Answer {
    {
        let life = &mut lock(shared).life;
        match life {
            Life::New => *life = Life::Opening,
            Life::Closed => return Err(closed_meanwhile()),
            Life::Opening | Life::Open(_) | Life::Closing(_) => {
                return Err(WorldError::invalid("a world is opened once"));
            }
        }
    }
    let raw: RawConfig = requests::parse(config)?;
    let world = World::open(Config::parse(&raw)?, id)?;
    let life = &mut lock(shared).life;
    if !matches!(life, Life::Opening) {
        return Err(closed_meanwhile());
    }
    *life = Life::Open(Arc::new(world));
    Ok(Reply::void())
}

fn closed_meanwhile() -> WorldError {
    WorldError::new(ErrorKind::Closed, "this World was closed while it opened: make another one")
}
