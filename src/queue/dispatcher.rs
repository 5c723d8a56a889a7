//! The dispatcher: a thread that delivers, and its handle. The work of the thread is in `work.rs`.
//!
//! Commits, the next due time and deliveries that end wake the thread.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::task::LocalSet;

use super::delivery::Handlers;
use super::http::AppAddress;
use super::pulse::{Duty, Pulse};
pub use super::work::DRAIN;
use super::work::Work;
use crate::clock::Clock;
use crate::domain::queue::offer::Offer;
use crate::error::{ErrorKind, WorldError};
use crate::lock::lock;
use crate::store::{CommitListener, CommitNews, Completion, Store};

/// The parts and settings of a dispatcher.
#[derive(Clone)]
pub struct Delivering {
    /// The store of the messages.
    pub store: Arc<dyn Store>,
    /// The handlers of this process.
    pub handlers: Arc<Handlers>,
    /// The app's address, if handlers may be reached over HTTP.
    pub app: Option<AppAddress>,
    /// Whether handlers in this process may be called.
    pub direct: bool,
    /// Queue name prefixes that are delivered over HTTP.
    pub http_prefixes: Vec<String>,
    /// The spec versions of the runs that the SDK of this process continues.
    pub spec_versions: RangeInclusive<u32>,
    /// The release of this process, if it has one.
    pub release: Option<String>,
    /// Most deliveries in flight.
    pub concurrency: usize,
    /// The host's time.
    pub clock: Arc<dyn Clock>,
    /// Records faults and deliveries.
    pub pulse: Arc<Pulse>,
}

impl Delivering {
    /// Whether the handlers of this process take every message, so that no app is needed.
    pub(super) fn all_is_direct(&self) -> bool {
        let direct = self.handlers.prefixes();
        self.direct && self.http_prefixes.iter().all(|prefix| direct.contains(prefix))
    }

    /// The report of this process for others; see [`Pulse::report`].
    pub(super) fn report(&self) -> Value {
        let direct = self.handlers.prefixes();
        let lacks = |prefix: &&String| self.app.is_none() && !direct.contains(prefix);
        let lacks: Vec<_> = self.http_prefixes.iter().filter(lacks).cloned().collect();
        self.pulse.report(&lacks, &self.offer_of(Vec::new()))
    }

    /// What this process can run, of the queues with these prefixes.
    pub(super) fn offer_of(&self, prefixes: Vec<String>) -> Offer {
        let Self { spec_versions, release, .. } = self;
        Offer { prefixes, spec_versions: spec_versions.clone(), release: release.clone() }
    }

    /// Notes that a duty has failed.
    pub(super) fn failed(&self, duty: Duty, error: &WorldError) {
        self.pulse.failed(duty, error, self.clock.now_ms());
    }

    /// Notes the outcome of a duty, and passes it on.
    pub(super) fn noted<T>(
        &self,
        duty: Duty,
        outcome: Result<T, WorldError>,
    ) -> Result<T, WorldError> {
        self.pulse.noted(duty, outcome, &*self.clock)
    }
}

/// A running dispatcher.
pub struct Dispatcher {
    signals: Arc<Signals>,
    /// Wakes the dispatcher while it exists.
    _listener: Arc<dyn CommitListener>,
    stop: watch::Sender<bool>,
    /// `None` if the caller drives it, or after it was stopped.
    thread: Mutex<Option<JoinHandle<()>>>,
    delivering: Delivering,
}

/// The work of a dispatcher. Its driver awaits [`Dispatching::run`].
pub struct Dispatching {
    delivering: Delivering,
    signals: Arc<Signals>,
    stopped: watch::Receiver<bool>,
}

/// The signals between a dispatcher and its handle.
#[derive(Default)]
pub(super) struct Signals {
    pub(super) wake: Notify,
    pub(super) idle: Idle,
    pub(super) first_claim: FirstClaim,
    /// How often this process has loaded code.
    pub(super) loads: AtomicU64,
}

impl Dispatcher {
    /// Starts delivering.
    ///
    /// # Errors
    /// `Internal` when no thread can be started.
    pub fn start(delivering: Delivering) -> Result<Self, WorldError> {
        let failed = |error: std::io::Error| {
            WorldError::new(ErrorKind::Internal, format!("the worker cannot be started: {error}"))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let (dispatcher, dispatching) = Self::driven(delivering);
        let thread = std::thread::Builder::new()
            .name("hookline-dispatcher".into())
            .spawn(move || runtime.block_on(LocalSet::new().run_until(dispatching.run())));
        match thread {
            Ok(thread) => *lock(&dispatcher.thread) = Some(thread),
            Err(error) => {
                dispatcher.stop();
                return Err(failed(error));
            }
        }
        Ok(dispatcher)
    }

    /// A dispatcher whose work the caller drives, on its own runtime, whose time may be paused.
    pub fn driven(delivering: Delivering) -> (Self, Dispatching) {
        let signals = Arc::<Signals>::default();
        // A process that starts may be of another release than those that have refused messages.
        signals.loads.store(1, Ordering::Release);
        let (stop, stopped) = watch::channel(false);
        let woken = Arc::clone(&signals);
        let listener: Arc<dyn CommitListener> = Arc::new(move |news: &CommitNews| {
            if news.queue || news.elsewhere {
                woken.wake.notify_one();
            }
        });
        delivering.store.on_commit(Arc::downgrade(&listener));
        delivering.store.watch_elsewhere(true);
        let dispatching =
            Dispatching { delivering: delivering.clone(), signals: Arc::clone(&signals), stopped };
        let thread = Mutex::new(None);
        (Self { signals, _listener: listener, stop, thread, delivering }, dispatching)
    }

    /// Waits for the first claim. The dispatcher makes it at once, even if there is no handler and it
    /// can claim nothing. Blocks.
    ///
    /// # Errors
    /// The reason why nothing can ever be claimed here; the dispatcher has then ended. `Closed` if it
    /// was stopped before. A temporary fault is no error: the dispatcher tries again.
    pub fn first_claim(&self) -> Result<(), WorldError> {
        self.signals.first_claim.wait()
    }

    /// Makes the dispatcher take up refused messages, because there is a new handler.
    pub fn code_loaded(&self) {
        self.signals.loads.fetch_add(1, Ordering::AcqRel);
        self.wake();
    }

    /// Makes the dispatcher look at the queue again.
    pub fn wake(&self) {
        self.signals.wake.notify_one();
    }

    /// The report of this process for others, as its lock file shows it with a delay.
    pub fn report(&self) -> Value {
        self.delivering.report()
    }

    /// Settles when nothing is due and nothing is in flight. The value is the time until the next
    /// message becomes due, in milliseconds.
    ///
    /// # Errors
    /// Settles with the fault of a claim, after which the answer is unknown, and with `Closed` at the
    /// end.
    pub fn when_idle(&self, done: Completion<Option<i64>>) {
        lock(&self.signals.idle.0).push(done);
        self.wake();
    }

    /// Stops claiming, waits for deliveries in flight within a grace period, and releases the rest.
    /// Idempotent; blocks, unless the caller drives the dispatcher.
    pub fn stop(&self) {
        let is_stopped = self.stop.send_replace(true);
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // Its panics are caught. Another panic, after the end of its work, would change nothing.
            let _ = thread.join();
        }
        if !is_stopped {
            self.delivering.store.watch_elsewhere(false);
        }
    }
}

impl Dispatching {
    /// Delivers until the dispatcher is stopped. Must run within a [`LocalSet`].
    pub async fn run(self) {
        let Self { delivering, signals, stopped } = self;
        let _end = End(Arc::clone(&signals));
        Work::of(delivering, signals).run(stopped).await;
    }
}

/// Settles the waits for the first claim when the dispatcher ends for any reason.
struct End(Arc<Signals>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.first_claim.is(Err(WorldError::closed()));
    }
}

/// The outcome of the first claim, once it is known.
#[derive(Default)]
pub(super) struct FirstClaim {
    outcome: Mutex<Option<Result<(), WorldError>>>,
    known: Condvar,
}

impl FirstClaim {
    /// Sets the outcome, unless it is known. Returns whether it was unknown.
    pub(super) fn is(&self, outcome: Result<(), WorldError>) -> bool {
        let mut known = lock(&self.outcome);
        let is_first = known.is_none();
        known.get_or_insert(outcome);
        self.known.notify_all();
        is_first
    }

    fn wait(&self) -> Result<(), WorldError> {
        let unknown = |outcome: &mut Option<_>| outcome.is_none();
        let outcome = self.known.wait_while(lock(&self.outcome), unknown);
        let outcome = outcome.unwrap_or_else(PoisonError::into_inner);
        outcome.clone().unwrap_or_else(|| Err(WorldError::closed()))
    }
}

/// Waiters for the dispatcher to become idle.
#[derive(Default)]
pub(super) struct Idle(Mutex<Vec<Completion<Option<i64>>>>);

impl Idle {
    /// Takes all current waiters.
    pub(super) fn take(&self) -> Vec<Completion<Option<i64>>> {
        std::mem::take(&mut lock(&self.0))
    }

    /// Puts waiters back that must wait on.
    pub(super) fn put_back(&self, waiting: Vec<Completion<Option<i64>>>) {
        lock(&self.0).extend(waiting);
    }
}
