//! What the dispatcher does, on its thread: claims due messages, keeps a bounded number in flight,
//! extends their leases, and tells the queue how each ended.
//!
//! It goes on after every fault, also after a panic of its own, and tells the [`Pulse`](super::pulse::Pulse) of each.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::delivery::{Handled, outcome};
use super::dispatcher::{Delivering, Signals};
use super::http::HttpDelivery;
use super::in_flight::{Held, InFlight};
use super::pulse::Duty;
use crate::domain::id::{LeaseToken, MessageId};
use crate::domain::message::Delivery;
use crate::entropy;
use crate::error::{ErrorKind, WorldError};
use crate::store::{ClaimRequest, Claimed, Completion, Outcome};

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
/// For how long an app may be silent, and a message due, before that is a fault: longer than an app
/// takes to start.
const APP_SILENT_MAX: Duration = Duration::from_secs(60);
/// When the end of a delivery that could not be written is written again.
const SETTLE_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The same, when it has failed for long.
const SETTLE_AGAIN_AFTER_MAX: Duration = Duration::from_secs(2);
/// Most messages in one claim.
const CLAIM_MAX: usize = 64;
/// How long closing waits for deliveries in flight before it releases them.
pub const DRAIN: Duration = Duration::from_secs(10);

/// The dispatcher's own state.
pub(super) struct Work {
    delivering: Delivering,
    http: Option<HttpDelivery>,
    signals: Arc<Signals>,
    in_flight: InFlight,
    app: Cell<App>,
    /// When leases were extended last, by the clock that they expire by.
    extended_at_ms: Cell<i64>,
    /// Whether this process has shown that it can claim.
    has_claimed: Cell<bool>,
    /// The changes of the pulse that others can see already.
    shown_changes: Cell<Option<u64>>,
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
    pub(super) fn of(delivering: Delivering, signals: Arc<Signals>) -> Rc<Self> {
        let store = &delivering.store;
        let http = delivering.app.clone().map(|app| HttpDelivery::new(app, Arc::clone(store)));
        let extended_at_ms = Cell::new(delivering.clock.now_ms());
        let app = Cell::new(App::Unknown);
        let in_flight = InFlight::new(Arc::clone(&delivering.pulse));
        let (has_claimed, shown_changes) = (Cell::new(false), Cell::new(None));
        let work = Self {
            delivering,
            http,
            signals,
            in_flight,
            app,
            extended_at_ms,
            has_claimed,
            shown_changes,
        };
        Rc::new(work)
    }

    /// Until it is stopped, or turns out to be unable to claim anything ever.
    pub(super) async fn run(self: Rc<Self>, mut stopped: watch::Receiver<bool>) {
        let searching = tokio::task::spawn_local(Rc::clone(&self).search_for_forgotten_runs());
        while let Err(defect) = caught(self.tend(&mut stopped)).await {
            self.failed(Duty::Dispatch, &defect);
            if self.signals.first_claim.is(Err(defect)) {
                break;
            }
            // Begun again at once, it might do nothing else.
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                _ = stopped.changed() => {}
            }
        }
        searching.abort();
        if let Err(defect) = caught(self.drain()).await {
            // What it holds is freed when the process has ended.
            self.failed(Duty::Dispatch, &defect);
        }
    }

    async fn tend(self: &Rc<Self>, stopped: &mut watch::Receiver<bool>) {
        // At once: begun anew after a panic, it may be late.
        let mut extend_at = Instant::now();
        let mut look_at = Instant::now();
        while !*stopped.borrow() {
            let now = Instant::now();
            if now >= extend_at {
                extend_at = now + EXTEND_EVERY;
                self.extend_leases();
            }
            if now >= look_at {
                look_at = now + LOOK_EVERY;
                let freed = ask(|done| self.delivering.store.free_dead_leases(done)).await;
                // Looked for again with the next look.
                drop(self.noted(Duty::FreeLeases, freed));
                self.show_pulse();
            }
            let mut sleep_until_at = look_at.min(extend_at);
            if self.wants_app() {
                self.app.set(App::Asked);
                tokio::task::spawn_local(Rc::clone(self).ask_app());
            }
            // Before the look, so that it sees what was committed before they asked.
            let waiting_for_idle = self.signals.idle.take();
            let claim = self.claim().await;
            if let Err(error) = &claim
                && !error.may_pass()
                && self.signals.first_claim.is(Err(error.clone()))
            {
                return;
            }
            self.signals.first_claim.is(Ok(()));
            self.tell_idle(waiting_for_idle, &claim);
            match claim {
                Ok(Claim::MoreMayWait) => continue,
                Ok(Claim::NextDueIn(delay)) => sleep_until_at = sleep_until_at.min(now + delay),
                // A store that fails is looked at again at the next wake-up or look.
                Ok(Claim::NothingDue) | Err(_) => {}
            }
            tokio::select! {
                () = self.signals.wake.notified() => {}
                () = sleep_until(sleep_until_at) => {}
                _ = stopped.changed() => {}
            }
        }
    }

    /// Tells those who wait for nothing to be left to do, unless they must wait on, or that it cannot
    /// be known.
    fn tell_idle(&self, waiting: Vec<Completion<Option<i64>>>, claim: &Result<Claim, WorldError>) {
        if !self.in_flight.is_empty() || matches!(claim, Ok(Claim::MoreMayWait)) {
            return self.signals.idle.put_back(waiting);
        }
        let next_due_in_ms = match claim {
            // In 292 million years is never.
            Ok(Claim::NextDueIn(delay)) => Ok(i64::try_from(delay.as_millis()).ok()),
            Ok(Claim::MoreMayWait | Claim::NothingDue) => Ok(None),
            Err(error) => Err(error.clone()),
        };
        waiting.into_iter().for_each(|done| done.settle(next_due_in_ms.clone()));
    }

    fn now_ms(&self) -> i64 {
        self.delivering.clock.now_ms()
    }

    fn failed(&self, duty: Duty, error: &WorldError) {
        self.delivering.pulse.failed(duty, error, self.now_ms());
    }

    fn noted<T>(&self, duty: Duty, outcome: Result<T, WorldError>) -> Result<T, WorldError> {
        self.delivering.pulse.noted(duty, outcome, &*self.delivering.clock)
    }

    /// Lets other processes see what stands in the way of this one.
    fn show_pulse(&self) {
        let changes = self.delivering.pulse.changes();
        if self.shown_changes.get() == Some(changes) {
            return;
        }
        let report = self.delivering.pulse.report();
        // It cannot be shown while there is no lock file, which the next claim makes.
        if self.delivering.store.show_worker(&report) {
            self.shown_changes.set(Some(changes));
        }
    }

    /// Wakes runs that have something to do and no message, now and rarely afterwards.
    async fn search_for_forgotten_runs(self: Rc<Self>) {
        let mut pause = SEARCH_AGAIN_AFTER;
        loop {
            if let Err(defect) = caught(self.search_once()).await {
                self.failed(Duty::Search, &defect);
            }
            sleep(pause).await;
            pause = SEARCH_EVERY;
        }
    }

    async fn search_once(&self) {
        let mut after = None;
        loop {
            let store = &self.delivering.store;
            let woken = ask(|done| store.wake_forgotten(after, SEARCH_RUNS, done)).await;
            // A store that fails is searched again the next time.
            after = self.noted(Duty::Search, woken).ok().and_then(|woken| woken.next);
            if after.is_none() {
                return;
            }
            sleep(BETWEEN_SEARCH_STEPS).await;
        }
    }

    /// Claims as much as may be in flight, and starts delivering it. The first time, also when nothing
    /// can be delivered yet: that shows whether this process can claim, and that it lives.
    async fn claim(self: &Rc<Self>) -> Result<Claim, WorldError> {
        let free = self.delivering.concurrency.saturating_sub(self.in_flight.len());
        let prefixes = self.prefixes();
        let limit = if prefixes.is_empty() { 0 } else { free.min(CLAIM_MAX) };
        if limit == 0 && self.has_claimed.get() {
            return Ok(Claim::NothingDue);
        }
        // A clock that has jumped, or a host that slept, must not expire leases of our own.
        let since_extended_ms = self.now_ms() - self.extended_at_ms.get();
        if since_extended_ms > LEASE_MS / 2 {
            self.extend_leases();
        }
        let lease_owner = self.delivering.store.lease_owner().to_owned();
        let request = ClaimRequest { limit, prefixes, lease_owner, lease_ms: LEASE_MS };
        let claimed = ask(|done| self.delivering.store.claim(request, done)).await;
        let Claimed { deliveries, next_due_at_ms, now_ms } = self.noted(Duty::Claim, claimed)?;
        if !self.has_claimed.replace(true) {
            self.show_pulse();
        }
        self.delivering.pulse.went_well(Duty::Dispatch);
        let got = deliveries.len();
        for delivery in deliveries {
            self.in_flight.begin(delivery.message_id, delivery.lease_token.clone());
            tokio::task::spawn_local(Rc::clone(self).deliver(delivery));
        }
        match next_due_at_ms {
            _ if limit == 0 => Ok(Claim::NothingDue),
            _ if got == limit => Ok(Claim::MoreMayWait),
            Some(at_ms) => {
                let delay_ms = (at_ms - now_ms).max(0);
                Ok(Claim::NextDueIn(Duration::from_millis(delay_ms as u64)))
            }
            None => Ok(Claim::NothingDue),
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
        let asked = caught(self.ask_until_app_answers()).await;
        let asked = self.noted(Duty::ReachApp, asked);
        if asked.is_err() {
            sleep(ASK_APP_EVERY_MAX).await;
        }
        let answers = asked.unwrap_or(false);
        self.app.set(if answers { App::Answers } else { App::Unknown });
        self.signals.wake.notify_one();
    }

    /// Whether it answers; else it need not be asked any longer.
    async fn ask_until_app_answers(&self) -> bool {
        let Some(http) = &self.http else { return false };
        let mut pause = ASK_APP_EVERY;
        let mut silent_since = Instant::now();
        while !self.all_is_direct() {
            let Err(reason) = http.is_ready().await else { return true };
            if silent_since.elapsed() >= APP_SILENT_MAX {
                silent_since = Instant::now();
                self.note_silent_app(&reason).await;
            }
            sleep(pause).await;
            pause = (pause * 2).min(ASK_APP_EVERY_MAX);
        }
        false
    }

    /// An app that does not answer is a fault once messages wait for it.
    async fn note_silent_app(&self, reason: &str) {
        let depth = ask(|done| self.delivering.store.queue_depth(done)).await;
        // A store that fails fails the claims too, which says so.
        let oldest_due_ms = depth.ok().and_then(|depth| depth.oldest_due_ms).unwrap_or(0);
        if oldest_due_ms < APP_SILENT_MAX.as_millis() as i64 {
            return;
        }
        let message = format!(
            "messages are due, but the app does not answer at its address: start the app, or check PORT \
             and WORKFLOW_HOOKLINE_BASE_URL ({reason})"
        );
        self.failed(Duty::ReachApp, &WorldError::new(ErrorKind::NotFound, message));
    }

    async fn deliver(self: Rc<Self>, delivery: Delivery) {
        let (message_id, attempt) = (delivery.message_id, delivery.attempt);
        let lease_token = delivery.lease_token.clone();
        let handled = self.noted(Duty::Deliver, caught(self.hand_over(delivery)).await);
        let handled = handled.unwrap_or_else(|defect| Handled::Failed { error: defect.message });
        let outcome = outcome(handled, attempt, entropy::fraction());
        let settled = caught(self.settle(message_id, lease_token.clone(), outcome)).await;
        if let Err(defect) = settled {
            self.failed(Duty::Settle, &defect);
        }
        // In any case, so that no lease is kept of what nobody works on.
        self.in_flight.settled(message_id, &lease_token);
        self.signals.wake.notify_one();
    }

    async fn hand_over(&self, delivery: Delivery) -> Handled {
        let handler = self.delivering.handlers.of(&delivery.queue_name);
        match (handler.filter(|_| self.delivering.direct), &self.http) {
            (Some(handler), _) => {
                let handled = ask(|done| handler.hand_over(delivery, done)).await;
                // It is the JavaScript environment that has ended.
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
            (None, None) => Handled::NotReached { error: "the handler no longer exists".into() },
        }
    }

    /// Tells the queue how a delivery ended. While the store fails, the message stays in flight, so
    /// that its lease is extended and nobody is given what is done already. A lost lease changes
    /// nothing: the message is delivered again by whoever holds it then.
    async fn settle(&self, message_id: MessageId, lease_token: LeaseToken, outcome: Outcome) {
        self.in_flight.ended(message_id, &lease_token, &outcome);
        let mut pause = SETTLE_AGAIN_AFTER;
        loop {
            let end = self.write_end(message_id, lease_token.clone(), outcome.clone()).await;
            match self.noted(Duty::Settle, end) {
                Ok(held) => {
                    if !held {
                        self.delivering.pulse.lease_lost();
                    }
                    return;
                }
                // It fails for ever.
                Err(error) if error.is_final || error.kind == ErrorKind::Closed => return,
                Err(_) => sleep(pause).await,
            }
            pause = (pause * 2).min(SETTLE_AGAIN_AFTER_MAX);
        }
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
        self.extended_at_ms.set(self.now_ms());
        let leases = self.in_flight.leases();
        if leases.is_empty() {
            return;
        }
        let Delivering { pulse, clock, .. } = self.delivering.clone();
        // What is lost is counted when its delivery ends; what fails is tried again before it expires.
        let noted = Completion::new(move |lost| drop(pulse.noted(Duty::Extend, lost, &*clock)));
        self.delivering.store.extend(leases, LEASE_MS, noted);
    }

    async fn drain(&self) {
        let all_ended = async {
            while !self.in_flight.is_empty() {
                self.signals.wake.notified().await;
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
            drop(self.noted(Duty::Settle, end.await));
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
    // Who asked may have gone: then nobody wants the outcome.
    start(Completion::new(move |outcome| drop(sender.send(outcome))));
    async { receiver.await.unwrap_or_else(|_| Err(WorldError::closed())) }
}

/// A panic that was caught. It has been printed; what it said may hold a caller's values.
fn defect() -> WorldError {
    let message = "a defect of hookline stopped a part of a worker; the worker goes on. Please report \
                   the panic that the process has printed";
    WorldError::new(ErrorKind::Internal, message)
}

/// What a future comes to; a panic of it is an error, and ends nothing else.
async fn caught<T>(future: impl Future<Output = T>) -> Result<T, WorldError> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(defect())),
        }
    })
    .await
}
