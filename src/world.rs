//! A World: one engine for each database of this process, shared by all its World objects.
//!
//! The SDK's 4.x line makes two World objects per process, and a bundler may load this package more
//! than once. So the users of an engine are counted here, by the database's canonical location.

mod enqueueing;
mod resuming;

pub use enqueueing::EnqueueRequest;

use std::sync::{Arc, Mutex, Weak};

use serde_json::{Value, json};

use crate::board::Boards;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, DeliveryMode, Role};
use crate::crypto::RunKey;
use crate::database::{self, Database, DatabaseId};
use crate::domain::event::{EventBody, EventRequest};
use crate::domain::id::{MessageId, RunId};
use crate::entropy::Entropy;
use crate::error::{ErrorKind, WorldError};
use crate::lock::lock;
use crate::queue::admission::Admissions;
use crate::queue::delivery::{Handler, Handlers};
use crate::queue::dispatcher::{Delivering, Dispatcher};
use crate::queue::http::AppAddress;
use crate::queue::living;
use crate::queue::own_server;
use crate::queue::pulse::{FaultListener, Pulse, PulseReading};
use crate::queue::wake_credits::WakeCredits;
use crate::sharing::Sharing;
use crate::store::upkeep::{Releases, Upkeep, Worker};
use crate::store::{Completion, EventReply, QueueDepth, Read, Store};
use crate::test_controls::TestControls;

/// The engines of this process.
static ENGINES: Sharing<EngineKey, Engine> = Sharing::new();

/// The key of an engine. A reading engine shares nothing with a writing one of the same database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct EngineKey {
    database: DatabaseId,
    reads_only: bool,
}

/// Store, queue and streams of one database.
pub struct Engine {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The same database, for the person who runs it.
    pub upkeep: Arc<dyn Upkeep>,
    /// The waiters of this process.
    pub boards: Boards,
    handlers: Arc<Handlers>,
    wake_credits: WakeCredits,
    /// The deliveries over HTTP that run in this process. They may outlive a World.
    pub admissions: Arc<Admissions>,
    pulse: Arc<Pulse>,
    entropy: Entropy,
    workers: Mutex<Workers>,
    clock: Arc<dyn Clock>,
    test_controls: Option<TestControls>,
    config: Config,
}

/// The Worlds that deliver in this process.
#[derive(Default)]
struct Workers {
    dispatcher: Option<Arc<Dispatcher>>,
    worlds: Vec<u64>,
}

/// One World object's share of an engine.
pub struct World {
    engine: Arc<Engine>,
    key: EngineKey,
    /// Names this World among those of the process.
    id: u64,
    /// The settings with which this World delivers once it is started, if its role allows it.
    worker: Option<WorkerOptions>,
    closed: Mutex<bool>,
}

/// The delivery settings of one World. The others belong to the database.
struct WorkerOptions {
    /// The URL of the app, for HTTP delivery.
    base_url: Option<String>,
    /// Most deliveries in flight.
    concurrency: usize,
}

impl WorkerOptions {
    /// What is known of the app's address, with the configured one.
    fn address(&self, app: AppAddress) -> AppAddress {
        AppAddress { configured: self.base_url.clone(), ..app }
    }
}

impl World {
    /// Opens the database, or joins the engine that has it open. Blocks.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; `CannotOpen` on a file system that other hosts may share; `BadConfig`
    /// if the engine was opened with other settings.
    pub fn open(config: Config, id: u64) -> Result<Self, WorldError> {
        let reads_only = config.role == Role::Reader;
        // This is first, because nothing may be made there either.
        config.refuse_place()?;
        let worker = (config.role == Role::Worker).then(|| WorkerOptions {
            base_url: config.base_url.clone(),
            concurrency: config.concurrency,
        });
        let (database, location, _guard) = database::identify(&config.location, reads_only)?;
        let config = Config { location, ..config };
        let key = EngineKey { database, reads_only };
        let may_join = |engine: &Engine| engine.config.refuse_if_other(&config);
        let engine = ENGINES.join(&key, may_join, || Engine::open(config.clone()))?;
        Ok(Self { engine, key, id, worker, closed: Mutex::new(false) })
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Starts to deliver messages, unless the World's role forbids it. Idempotent. `app` is what is
    /// known of the app's address, for HTTP delivery. Blocks until the first claim, which is made at
    /// once.
    ///
    /// # Errors
    /// The permanent reason why nothing can be claimed here; then nothing is started. `Internal` if no
    /// thread can be started; `Closed`.
    pub fn start_worker(&self, app: AppAddress) -> Result<(), WorldError> {
        let Some(options) = &self.worker else { return Ok(()) };
        let dispatcher = {
            // Held until this World has joined, so that a later close stops what was started.
            let closed = lock(&self.closed);
            if *closed {
                return Err(WorldError::closed());
            }
            self.engine.join_workers(self.id, options, app)?
        };
        let claimed = dispatcher.first_claim();
        if claimed.is_err() {
            self.engine.stop_worker(self.id);
        }
        claimed
    }

    /// Asks this process's own server whether it is the app, if this World may deliver. Returns whether
    /// a server was asked. Blocks.
    pub fn ask_own_server(&self, app: AppAddress) -> bool {
        let Some(options) = &self.worker else { return false };
        own_server::ask(options.address(app), Arc::clone(&self.engine.store))
    }

    /// Reports each kind of fault that prevents deliveries, while the caller holds the listener.
    pub fn on_fault(&self, listener: Weak<FaultListener>) {
        self.engine.pulse.on_fault(listener);
    }

    /// Registers a handler of this World's JavaScript for queue names with this prefix.
    pub fn register_handler(&self, prefix: String, handler: Arc<dyn Handler>) {
        self.engine.register_handler(prefix, self.id, handler);
    }

    /// Removes this World's handlers.
    pub fn stop_handling(&self) {
        self.engine.handlers.deregister(self.id);
    }

    /// Stops delivering for this World, and waits for its deliveries. Blocks.
    pub fn stop_worker(&self) {
        self.engine.stop_worker(self.id);
    }

    /// Gives up this World's share. The last share closes the database. Idempotent; blocks.
    pub fn close(&self) {
        if std::mem::replace(&mut *lock(&self.closed), true) {
            return;
        }
        self.stop_worker();
        self.engine.boards.close_of(self.id);
        ENGINES.leave(&self.key, |engine| engine.store.close());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.close();
    }
}

impl Engine {
    fn open(config: Config) -> Result<Arc<Self>, WorldError> {
        let test_controls = config.for_tests.map(TestControls::ahead_by);
        let clock: Arc<dyn Clock> = match &test_controls {
            Some(controls) => controls.engine_clock(),
            None => Arc::new(SystemClock),
        };
        let faults = test_controls.as_ref().map(|controls| Arc::clone(&controls.faults));
        let Database { store, upkeep } = database::open(&config, &clock, faults)?;
        Ok(Arc::new(Self {
            boards: Boards::of(&store),
            admissions: Admissions::of(Arc::clone(&store)),
            store,
            upkeep,
            handlers: Arc::default(),
            wake_credits: WakeCredits::default(),
            pulse: Arc::default(),
            entropy: Entropy::default(),
            workers: Mutex::default(),
            clock,
            test_controls,
            config,
        }))
    }

    /// The key with which the SDK encrypts a run's values. For a run that does not exist yet, the key of its
    /// arguments, which a delivery may bring before the run is there; without them the key that it will
    /// have if this process makes it. `None` for a run with plain values. `EncryptionKeyMissing` names the
    /// key.
    pub fn run_key(&self, run_id: RunId, input: Option<Vec<u8>>) -> Read<Option<RunKey>> {
        let Some(ring) = self.config.encryption_keys.clone() else { return Read::Now(Ok(None)) };
        self.store.run_by_id(&run_id).map(move |run| match run {
            Ok(run) => {
                let key_id = run.encryption_key_id.as_deref();
                let key = key_id.map(|key_id| ring.key(key_id)).transpose()?;
                Ok(key.map(|key| key.run_key(&run.run_id)))
            }
            Err(error) if error.kind == ErrorKind::RunNotFound => {
                let key = ring.key_of_input(&run_id, &input.unwrap_or_default())?;
                Ok(Some(key.run_key(&run_id)))
            }
            Err(error) => Err(error),
        })
    }

    /// Appends an event for the SDK. If the event wrote a wake-up, the SDK asks for it in a second
    /// call, which gets the existing message.
    pub fn append_event(self: &Arc<Self>, request: EventRequest, done: Completion<EventReply>) {
        let run_id = request.run_id.clone();
        let completes_wait = matches!(request.body, EventBody::WaitCompleted { .. });
        let engine = Arc::clone(self);
        let credited = Completion::new(move |reply: Result<EventReply, WorldError>| {
            if let (Ok(reply), Some(run_id)) = (&reply, run_id) {
                engine.credit_wake_up(run_id, completes_wait, reply);
            }
            done.settle(reply);
        });
        self.store.append_event(request, credited);
    }

    /// Grants a credit for the wake-up that an event wrote, with two exceptions. A step that failed
    /// before it was started grants none: its arguments could not be serialised, and the replay that
    /// found this continues without asking. A completed wait grants none: the SDK asks only once for
    /// all waits that it completed, and an elapsed wait wrote no wake-up, so the next request is no
    /// duplicate.
    fn credit_wake_up(&self, run_id: RunId, completes_wait: bool, reply: &EventReply) {
        let never_started = reply.step.as_ref().is_some_and(|view| view.step.attempt == 0);
        match reply.wake_up {
            Some(message_id) if !never_started && !completes_wait => {
                self.wake_credits.grant(run_id, message_id, self.clock.now_ms());
            }
            None if completes_wait => self.wake_credits.revoke(&run_id),
            _ => {}
        }
    }

    /// An id for a run that is about to be started.
    pub fn fresh_run_id(&self) -> RunId {
        self.entropy.run_id(self.clock.now_ms())
    }

    /// Starts a run: `run_created` and the first wake-up in one commit.
    ///
    /// # Errors
    /// Settles with `Invalid` for anything but a `run_created` that wakes.
    pub fn start_run(&self, request: EventRequest, done: Completion<EventReply>) {
        match &request.body {
            EventBody::RunCreated(creation) if creation.wakes => {
                self.store.append_event(request, done);
            }
            _ => done.settle(Err(WorldError::invalid(
                "a start must be a run_created event that wakes the run",
            ))),
        }
    }

    /// The first World that is started decides how this process delivers.
    fn join_workers(
        &self,
        world_id: u64,
        options: &WorkerOptions,
        app: AppAddress,
    ) -> Result<Arc<Dispatcher>, WorldError> {
        let mut workers = lock(&self.workers);
        let dispatcher = match &workers.dispatcher {
            Some(dispatcher) => Arc::clone(dispatcher),
            None => Arc::new(Dispatcher::start(self.delivering(options, app))?),
        };
        workers.dispatcher = Some(Arc::clone(&dispatcher));
        if !workers.worlds.contains(&world_id) {
            workers.worlds.push(world_id);
        }
        Ok(dispatcher)
    }

    fn delivering(&self, options: &WorkerOptions, app: AppAddress) -> Delivering {
        let mode = self.config.delivery;
        let step_prefix = self.config.workflow_prefix.replace("_workflow_", "_step_");
        Delivering {
            store: Arc::clone(&self.store),
            handlers: Arc::clone(&self.handlers),
            app: (mode != DeliveryMode::Direct).then(|| options.address(app)),
            direct: mode != DeliveryMode::Http,
            http_prefixes: vec![self.config.workflow_prefix.clone(), step_prefix],
            spec_versions: self.config.spec_versions.clone(),
            release: self.config.release.clone(),
            concurrency: options.concurrency,
            clock: Arc::clone(&self.clock),
            pulse: Arc::clone(&self.pulse),
        }
    }

    /// Settles when this process has nothing to deliver. The value is the time until the next message
    /// becomes due, in milliseconds. Without a worker it settles at once.
    pub fn when_idle(&self, done: Completion<Option<i64>>) {
        match &lock(&self.workers).dispatcher {
            Some(dispatcher) => dispatcher.when_idle(done),
            None => done.settle(Ok(None)),
        }
    }

    /// The depth of the queue and the pulse of this process.
    pub fn stats(self: &Arc<Self>, done: Completion<(QueueDepth, PulseReading)>) {
        let engine = Arc::clone(self);
        self.workers(Completion::new(move |living: Result<Vec<Value>, WorldError>| {
            // Nothing is known of workers that cannot be seen.
            let living = living.map(|reports| living::offers_of(&reports)).unwrap_or_default();
            let reading = engine.pulse.reading();
            let with_reading = move |depth: Result<QueueDepth, WorldError>| {
                done.settle(depth.map(|depth| (depth, reading)));
            };
            engine.store.queue_depth(living, Completion::new(with_reading));
        }));
    }

    /// The releases, what needs them, and the reports of the living workers.
    pub fn releases(self: &Arc<Self>, done: Completion<(Releases, Vec<Value>)>) {
        let engine = Arc::clone(self);
        self.workers(Completion::new(move |living: Result<Vec<Value>, WorldError>| match living {
            Ok(reports) => {
                let with_reports = move |releases: Result<Releases, WorldError>| {
                    done.settle(releases.map(|releases| (releases, reports)));
                };
                engine.upkeep.releases(Completion::new(with_reports));
            }
            Err(error) => done.settle(Err(error)),
        }));
    }

    /// The reports of the living workers of this host, as JSON. This process's own report is of now, the
    /// others' are of two seconds ago at most.
    pub fn workers(self: &Arc<Self>, done: Completion<Vec<Value>>) {
        let engine = Arc::clone(self);
        self.upkeep.workers(Completion::new(move |living: Result<Vec<Worker>, WorldError>| {
            done.settle(living.map(|living| engine.reports_of(living)));
        }));
    }

    /// Another process, maybe of another version, wrote its report. One that is not JSON is ignored.
    fn reports_of(&self, living: Vec<Worker>) -> Vec<Value> {
        let own = lock(&self.workers).dispatcher.as_ref().map(|dispatcher| dispatcher.report());
        let me = own.as_ref().map(|_| self.store.lease_owner());
        let others = living.into_iter().filter(|worker| me != Some(&*worker.lease_owner));
        let read = |worker: Worker| {
            let report = worker.report.and_then(|report| serde_json::from_str(&report).ok());
            report.unwrap_or_else(|| json!({}))
        };
        own.into_iter().chain(others.map(read)).collect()
    }

    /// Puts a dead message back into the queue; see [`Store::redrive`].
    pub fn redrive(&self, message_id: &str, done: Completion<MessageId>) {
        match MessageId::parse(message_id) {
            Some(id) => self.store.redrive(id, done),
            None => done.settle(Err(WorldError::invalid(
                "this is not the id of a message: hookline dead and hookline held show those",
            ))),
        }
    }

    /// Skips this time as if it had elapsed, and looks for messages that became due.
    ///
    /// # Errors
    /// `Invalid` unless the World is one for tests.
    pub fn skip_time(&self, ms: u64) -> Result<(), WorldError> {
        self.test_controls()?.clock.skip(ms);
        if let Some(dispatcher) = &lock(&self.workers).dispatcher {
            dispatcher.wake();
        }
        Ok(())
    }

    /// Makes the `nth` commit from now on fail with this error.
    ///
    /// # Errors
    /// `Invalid` unless the World is one for tests.
    pub fn fail_commit(&self, nth: u32, error: WorldError) -> Result<(), WorldError> {
        self.test_controls()?.faults.fail_commit(nth, error);
        Ok(())
    }

    fn test_controls(&self) -> Result<&TestControls, WorldError> {
        let missing = "only a World of hookline/testing can skip time or make commits fail";
        self.test_controls.as_ref().ok_or_else(|| WorldError::invalid(missing))
    }

    fn stop_worker(&self, world_id: u64) {
        self.handlers.deregister(world_id);
        let stopping = {
            let mut workers = lock(&self.workers);
            workers.worlds.retain(|world| *world != world_id);
            match workers.worlds.is_empty() {
                true => workers.dispatcher.take(),
                false => None,
            }
        };
        if let Some(dispatcher) = stopping {
            dispatcher.stop();
        }
    }

    fn register_handler(&self, prefix: String, world_id: u64, handler: Arc<dyn Handler>) {
        self.handlers.register(prefix, world_id, handler);
        if let Some(dispatcher) = &lock(&self.workers).dispatcher {
            dispatcher.code_loaded();
        }
    }
}
