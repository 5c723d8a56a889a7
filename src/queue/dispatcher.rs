//! The dispatcher: claims due messages, keeps a bounded number in flight, extends their leases, and
//! tells the queue how each ended.
//!
//! It runs on a thread of its own, woken by commits, by the next due time and by deliveries that end.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::delivery::{Handled, Handlers, outcome};
use super::http::{AppAddress, HttpDelivery};
use super::in_flight::{Held, InFlight};
use super::tally::Tally;
use crate::clock::Clock;
use crate::domain::id::{LeaseToken, MessageId};
use crate::domain::message::Delivery;
use crate::entropy;
use crate::error::{ErrorKind, WorldError};
use crate::lock::lock;
use crate::store::{ClaimRequest, Claimed, CommitListener, CommitNews, Completion, Outcome, Store};

/// How long a lease holds; it is extended long before.
const LEASE_MS: i64 = 30_000;
/// How often leases are extended.
const EXTEND_EVERY: Duration = Duration::from_secs(10);
/// How often the queue is looked at when nothing happens: for owners that have died, and for a clock
/// that has jumped.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// When the queue is searched for forgotten runs again after the start, which is soon, because a
/// process that died may have been starting a run; then how often.
const SEARCH_AGAIN_AFTER: Duration = Duration::from_secs(10);
const SEARCH_EVERY: Duration = Duration::from_secs(300);
/// Active runs in one step of that search: some milliseconds of a reader's time.
const SEARCH_RUNS: usize = 1000;
/// Between two steps, so that a search among very many runs takes under a hundredth of a processor.
const BETWEEN_SEARCH_STEPS: Duration = Duration::from_secs(1);
/// How often an app that does not answer yet is asked again.
const ASK_APP_EVERY: Duration = Duration::from_millis(100);
/// The same, when it has not answered for long.
const ASK_APP_EVERY_MAX: Duration = Duration::from_secs(2);
/// When the end of a delivery that could not be written is written again.
const SETTLE_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The same, when it has failed for long.
const SETTLE_AGAIN_AFTER_MAX: Duration = Duration::from_secs(2);
/// Most messages in one claim.
const CLAIM_MAX: usize = 64;
/// How long closing waits for deliveries in flight before it releases them.
pub const DRAIN: Duration = Duration::from_secs(10);

/// What a dispatcher needs.
#[derive(Clone)]
pub struct Delivering {
    /// Where the messages are.
    pub store: Arc<dyn Store>,
    /// Handlers in this process.
    pub handlers: Arc<Handlers>,
    /// Where the app answers, when handlers may be reached over HTTP.
    pub app: Option<AppAddress>,
    /// Whether handlers in this process may be called.
    pub direct: bool,
    /// Queue name prefixes that are delivered over HTTP.
    pub http_prefixes: Vec<String>,
    /// Most deliveries in flight.
    pub concurrency: usize,
    /// The host's time.
    pub clock: Arc<dyn Clock>,
    /// Counts what comes of it.
    pub tally: Arc<Tally>,
}

/// A running dispatcher.
pub struct Dispatcher {
    wake: Arc<Notify>,
    /// Wakes it, for as long as it is there.
    _listener: Arc<dyn CommitListener>,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
    store: Arc<dyn Store>,
    idle: Arc<Idle>,
}

impl Dispatcher {
    /// Starts delivering.
    ///
    /// # Errors
    /// `Internal` when no thread can be started.
    pub fn start(delivering: Delivering) -> Result<Self, WorldError> {
        let failed = |error: std::io::Error| {
            WorldError::new(ErrorKind::Internal, format!("delivery cannot be started: {error}"))
        };
        let wake = Arc::new(Notify::new());
        let (stop, stopped) = watch::channel(false);
        let store = Arc::clone(&delivering.store);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let woken = Arc::clone(&wake);
        let listener: Arc<dyn CommitListener> = Arc::new(move |news: &CommitNews| {
            if news.queue || news.elsewhere {
                woken.notify_one();
            }
        });
        store.on_commit(Arc::downgrade(&listener));
        store.watch_elsewhere(true);
        let woken = Arc::clone(&wake);
        let idle = Arc::<Idle>::default();
        let idle_told = Arc::clone(&idle);
        let thread = std::thread::Builder::new()
            .name("hookline-dispatcher".into())
            .spawn(move || {
                let local = LocalSet::new();
                let work = Rc::new(Work::new(delivering, woken, idle_told));
                runtime.block_on(local.run_until(work.run(stopped)));
            })
            .map_err(failed)?;
        Ok(Self { wake, _listener: listener, stop, thread: Mutex::new(Some(thread)), store, idle })
    }

    /// Looks at the queue again: a handler has come.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Settles once nothing is due and nothing is in flight, with how long it is, in milliseconds,
    /// until something becomes due.
    pub fn when_idle(&self, done: Completion<Option<i64>>) {
        lock(&self.idle.0).push(done);
        self.wake();
    }

    /// Claims nothing more, waits for deliveries in flight within a grace period, releases the rest.
    /// Idempotent; blocks.
    pub fn stop(&self) {
        let _ = self.stop.send(true);
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
            self.store.watch_elsewhere(false);
        }
    }
}

/// Who waits for the dispatcher to have nothing to do.
#[derive(Default)]
struct Idle(Mutex<Vec<Completion<Option<i64>>>>);

impl Idle {
    /// Those who asked until now.
    fn take(&self) -> Vec<Completion<Option<i64>>> {
        std::mem::take(&mut lock(&self.0))
    }

    /// Tells them, unless they must wait on.
    fn tell(&self, waiting: Vec<Completion<Option<i64>>>, claim: &Claim, in_flight: bool) {
        if in_flight || matches!(claim, Claim::MoreMayWait) {
            return lock(&self.0).extend(waiting);
        }
        let next_due_in_ms = match claim {
            Claim::NextDueIn(delay) => i64::try_from(delay.as_millis()).ok(),
            Claim::MoreMayWait | Claim::NothingDue => None,
        };
        waiting.into_iter().for_each(|done| done.settle(Ok(next_due_in_ms)));
    }
}

/// The dispatcher's own state, on its thread.
struct Work {
    delivering: Delivering,
    http: Option<HttpDelivery>,
    wake: Arc<Notify>,
    idle: Arc<Idle>,
    in_flight: InFlight,
    app: Cell<App>,
    /// When leases were extended last, by the clock that they expire by.
    extended_at_ms: Cell<i64>,
}

/// Whether the app takes deliveries over HTTP.
#[derive(Clone, Copy, PartialEq, Eq)]
enum App {
    /// Nobody has asked yet, or it did not answer.
    Unknown,
    /// It is being asked.
    Asked,
    /// It answers.
    Answers,
}

impl Work {
    fn new(delivering: Delivering, wake: Arc<Notify>, idle: Arc<Idle>) -> Self {
        let http = delivering.app.clone().map(HttpDelivery::new);
        let extended_at_ms = Cell::new(delivering.clock.now_ms());
        let app = Cell::new(App::Unknown);
        let in_flight = InFlight::new(Arc::clone(&delivering.tally));
        Self { delivering, http, wake, idle, in_flight, app, extended_at_ms }
    }

    async fn run(self: Rc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut extend_at = Instant::now() + EXTEND_EVERY;
        let mut look_at = Instant::now();
        let searching = tokio::task::spawn_local(Rc::clone(&self).search_for_forgotten_runs());
        while !*stopped.borrow() {
            let now = Instant::now();
            if now >= extend_at {
                extend_at = now + EXTEND_EVERY;
                self.extend_leases();
            }
            if now >= look_at {
                look_at = now + LOOK_EVERY;
                let _ = ask(|done| self.delivering.store.free_dead_leases(done)).await;
            }
            let mut sleep_until_at = look_at.min(extend_at);
            if self.wants_app() {
                self.app.set(App::Asked);
                tokio::task::spawn_local(Rc::clone(&self).ask_app());
            }
            // Before the look, so that it sees what was committed before they asked.
            let waiting_for_idle = self.idle.take();
            let claim = self.claim().await;
            self.idle.tell(waiting_for_idle, &claim, !self.in_flight.is_empty());
            match claim {
                Claim::MoreMayWait => continue,
                Claim::NextDueIn(delay) => sleep_until_at = sleep_until_at.min(now + delay),
                Claim::NothingDue => {}
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep_until(sleep_until_at) => {}
                _ = stopped.changed() => {}
            }
        }
        searching.abort();
        self.drain().await;
    }

    /// Wakes runs that have something to do and no message, now and rarely afterwards.
    async fn search_for_forgotten_runs(self: Rc<Self>) {
        let mut pause = SEARCH_AGAIN_AFTER;
        loop {
            let mut after = None;
            loop {
                let store = &self.delivering.store;
                let woken = ask(|done| store.wake_forgotten(after, SEARCH_RUNS, done)).await;
                // A store that fails is searched again the next time.
                after = woken.ok().and_then(|woken| woken.next);
                if after.is_none() {
                    break;
                }
                sleep(BETWEEN_SEARCH_STEPS).await;
            }
            sleep(pause).await;
            pause = SEARCH_EVERY;
        }
    }

    /// Claims as much as may be in flight, and starts delivering it.
    async fn claim(self: &Rc<Self>) -> Claim {
        let free = self.delivering.concurrency.saturating_sub(self.in_flight.len());
        let prefixes = self.prefixes();
        if free == 0 || prefixes.is_empty() {
            return Claim::NothingDue;
        }
        // A clock that has jumped, or a host that slept, must not expire leases of our own.
        let since_extended_ms = self.delivering.clock.now_ms() - self.extended_at_ms.get();
        if since_extended_ms > LEASE_MS / 2 {
            self.extend_leases();
        }
        let limit = free.min(CLAIM_MAX);
        let lease_owner = self.delivering.store.lease_owner().to_owned();
        let request = ClaimRequest { limit, prefixes, lease_owner, lease_ms: LEASE_MS };
        // A store that fails is looked at again at the next wake-up or look.
        let claimed = ask(|done| self.delivering.store.claim(request, done)).await;
        let Claimed { deliveries, next_due_at_ms, now_ms } = claimed.unwrap_or_default();
        let got = deliveries.len();
        for delivery in deliveries {
            self.in_flight.begin(delivery.message_id, delivery.lease_token.clone());
            tokio::task::spawn_local(Rc::clone(self).deliver(delivery));
        }
        if got == limit {
            return Claim::MoreMayWait;
        }
        match next_due_at_ms {
            Some(at_ms) => {
                let delay_ms = (at_ms - now_ms).max(0);
                Claim::NextDueIn(Duration::from_millis(delay_ms as u64))
            }
            None => Claim::NothingDue,
        }
    }

    /// Queue names that can be delivered now.
    fn prefixes(&self) -> Vec<String> {
        let mut prefixes = Vec::new();
        if self.delivering.direct {
            prefixes = self.delivering.handlers.prefixes();
        }
        if self.app.get() == App::Answers {
            prefixes.extend(self.delivering.http_prefixes.iter().cloned());
        }
        prefixes
    }

    /// Whether messages may have to go over HTTP, and it is not known that the app takes them.
    fn wants_app(&self) -> bool {
        self.http.is_some() && self.app.get() == App::Unknown && !self.all_is_direct()
    }

    fn all_is_direct(&self) -> bool {
        let direct = self.delivering.handlers.prefixes();
        self.delivering.direct && self.delivering.http_prefixes.iter().all(|p| direct.contains(p))
    }

    async fn ask_app(self: Rc<Self>) {
        let Some(http) = &self.http else { return };
        let mut pause = ASK_APP_EVERY;
        while !self.all_is_direct() {
            if http.is_ready().await {
                self.app.set(App::Answers);
                return self.wake.notify_one();
            }
            sleep(pause).await;
            pause = (pause * 2).min(ASK_APP_EVERY_MAX);
        }
        self.app.set(App::Unknown);
    }

    async fn deliver(self: Rc<Self>, delivery: Delivery) {
        let (message_id, attempt) = (delivery.message_id, delivery.attempt);
        let lease_token = delivery.lease_token.clone();
        let handled = self.hand_over(delivery).await;
        let outcome = outcome(handled, attempt, entropy::fraction());
        self.settle(message_id, lease_token, outcome).await;
    }

    async fn hand_over(&self, delivery: Delivery) -> Handled {
        let handler = self.delivering.handlers.of(&delivery.queue_name);
        match (handler.filter(|_| self.delivering.direct), &self.http) {
            (Some(handler), _) => {
                let handled = ask(|done| handler.hand_over(delivery, done)).await;
                handled.unwrap_or_else(|error| Handled::NotReached { error: error.message })
            }
            (None, Some(http)) => {
                let handled = http.hand_over(delivery).await;
                let is_there =
                    !matches!(handled, Handled::NotReached { .. } | Handled::Lost { .. });
                // While it is being asked, one more need not ask.
                if !is_there && self.app.get() == App::Answers {
                    self.app.set(App::Unknown);
                }
                handled
            }
            (None, None) => Handled::NotReached { error: "the handler has gone".into() },
        }
    }

    /// Tells the queue how a delivery ended. While the store fails, the message stays in flight, so
    /// that its lease is extended and nobody is given what is done already. A lost lease changes
    /// nothing: the message is delivered again by whoever holds it then.
    async fn settle(&self, message_id: MessageId, lease_token: LeaseToken, outcome: Outcome) {
        self.in_flight.ended(message_id, &lease_token, &outcome);
        let mut pause = SETTLE_AGAIN_AFTER;
        loop {
            match self.write_end(message_id, lease_token.clone(), outcome.clone()).await {
                Ok(held) => {
                    if !held {
                        self.delivering.tally.lease_lost();
                    }
                    break;
                }
                // It fails for ever.
                Err(error) if error.kind == ErrorKind::Closed => break,
                Err(_) => sleep(pause).await,
            }
            pause = (pause * 2).min(SETTLE_AGAIN_AFTER_MAX);
        }
        self.in_flight.settled(message_id, &lease_token);
        self.wake.notify_one();
    }

    /// Settles with whether the lease still held.
    fn write_end(
        &self,
        message_id: MessageId,
        lease_token: LeaseToken,
        outcome: Outcome,
    ) -> impl Future<Output = Result<bool, WorldError>> {
        let store = &self.delivering.store;
        ask(move |done| store.settle_delivery(message_id, lease_token, outcome, done))
    }

    fn extend_leases(&self) {
        self.extended_at_ms.set(self.delivering.clock.now_ms());
        let leases = self.in_flight.leases();
        if !leases.is_empty() {
            self.delivering.store.extend(leases, LEASE_MS, Completion::ignored());
        }
    }

    async fn drain(&self) {
        let all_ended = async {
            while !self.in_flight.is_empty() {
                self.wake.notified().await;
            }
        };
        if timeout(DRAIN, all_ended).await.is_ok() {
            return;
        }
        // All at once: where a lock is held, they wait for it together.
        let release = |(message_id, Held { lease_token, ended }): (MessageId, Held)| {
            let error = "the process closed during the delivery".to_owned();
            let release = Outcome::Release { delay_ms: 0, error, reached: true };
            self.write_end(message_id, lease_token, ended.unwrap_or(release))
        };
        let ends: Vec<_> = self.in_flight.take().into_iter().map(release).collect();
        for end in ends {
            // What fails now is freed with the other leases of this process when it has ended.
            let _ = end.await;
        }
    }
}

/// What a claim leaves to wait for.
enum Claim {
    /// It was full: claim again at once.
    MoreMayWait,
    /// Something becomes due.
    NextDueIn(Duration),
    /// Nothing but a wake-up.
    NothingDue,
}

/// Starts an operation at once, and awaits its outcome.
fn ask<T: Send + 'static>(
    start: impl FnOnce(Completion<T>),
) -> impl Future<Output = Result<T, WorldError>> {
    let (sender, receiver) = oneshot::channel();
    start(Completion::new(move |outcome| drop(sender.send(outcome))));
    async { receiver.await.unwrap_or_else(|_| Err(WorldError::closed())) }
}
