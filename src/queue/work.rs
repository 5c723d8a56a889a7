//! The work on the dispatcher's thread: it claims due messages and hands them over, a bounded number at
//! a time. The side jobs have their own files and timers: `leases`, `readiness` (of the app), `search`
//! (for forgotten runs), `settling` and `showing` (of the pulse).
//!
//! The thread continues after every fault, even after its own panic, and reports each to the
//! [`Pulse`](super::pulse::Pulse).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{spawn_local, yield_now};
use tokio::time::{sleep, timeout};

use super::asking::{ask, caught};
use super::delivery::{Handled, outcome};
use super::dispatcher::{Delivering, Signals};
use super::in_flight::InFlight;
use super::leases::{self, Leases};
use super::pulse::Duty;
use super::readiness::Readiness;
use super::search::search_for_forgotten_runs;
use super::settling::Settling;
use super::showing::Showing;
use crate::domain::message::{Delivery, QueueKind};
use crate::domain::queue::lease::{EXTEND_EVERY_MS, LEASE_MS};
use crate::domain::queue::offer::Offer;
use crate::entropy;
use crate::error::WorldError;
use crate::store::{ClaimRequest, Claimed, Completion, Outcome};

/// The interval of looks at the queue without any event: for expired leases, and for a clock that has
/// jumped.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Most messages in one claim.
const CLAIM_MAX: usize = 64;
/// The time for which closing waits for deliveries in flight before it releases them.
pub const DRAIN: Duration = Duration::from_secs(10);

const _: () = assert!(
    EXTEND_EVERY_MS + (DRAIN.as_millis() as i64) < LEASE_MS,
    "leases outlive a drain, which extends none"
);

/// The state of the dispatcher.
pub(super) struct Work {
    delivering: Rc<Delivering>,
    signals: Arc<Signals>,
    in_flight: Rc<InFlight>,
    leases: Rc<Leases>,
    /// The app, if messages may be delivered over HTTP.
    app: Option<Rc<Readiness>>,
    settling: Settling,
    showing: Rc<Showing>,
    /// Whether this process has claimed once, so it can claim.
    has_claimed: Cell<bool>,
    /// The load of code after which refused messages were last taken up.
    taken_up_after: Cell<u64>,
}

impl Work {
    pub(super) fn of(delivering: Delivering, signals: Arc<Signals>) -> Rc<Self> {
        let delivering = Rc::new(delivering);
        let in_flight = Rc::new(InFlight::new(Arc::clone(&delivering.pulse)));
        let app = delivering.app.clone();
        Rc::new(Self {
            leases: Leases::new(Rc::clone(&delivering), Rc::clone(&in_flight)),
            app: app.map(|app| Readiness::of(app, Rc::clone(&delivering), Arc::clone(&signals))),
            settling: Settling::new(Rc::clone(&delivering), Rc::clone(&in_flight)),
            showing: Showing::of(Rc::clone(&delivering)),
            has_claimed: Cell::new(false),
            taken_up_after: Cell::new(0),
            delivering,
            signals,
            in_flight,
        })
    }

    /// Works until the dispatcher is stopped, or until it finds that it can never claim.
    pub(super) async fn run(self: Rc<Self>, mut stopped: watch::Receiver<bool>) {
        let jobs = [
            spawn_local(Rc::clone(&self.leases).keep()),
            spawn_local(leases::free_dead(Rc::clone(&self.delivering))),
            spawn_local(Rc::clone(&self.showing).keep_shown()),
            spawn_local(search_for_forgotten_runs(Rc::clone(&self.delivering))),
        ];
        // The side jobs begin first, so that the first claim gets the messages of a dead process.
        yield_now().await;
        while let Err(defect) = caught(self.tend(&mut stopped)).await {
            self.delivering.failed(Duty::Dispatch, &defect);
            if self.signals.first_claim.is(Err(defect)) {
                break;
            }
            // A pause, because otherwise it might do nothing else than start again.
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                _ = stopped.changed() => {}
            }
        }
        jobs.iter().for_each(|job| job.abort());
        if let Err(defect) = caught(self.drain()).await {
            // Its leases are freed after the process has ended.
            self.delivering.failed(Duty::Dispatch, &defect);
        }
    }

    async fn tend(self: &Rc<Self>, stopped: &mut watch::Receiver<bool>) {
        while !*stopped.borrow() {
            // Taken before the look, so that the look sees everything committed before they asked.
            let waiting_for_idle = self.signals.idle.take();
            // What ends during the claim may have become due after the claim has looked.
            let was_quiet = self.in_flight.is_empty();
            let claim = self.claim().await;
            let is_quiet = was_quiet && self.in_flight.is_empty();
            if let Err(error) = &claim
                && !error.may_pass()
                && self.signals.first_claim.is(Err(error.clone()))
            {
                return;
            }
            self.signals.first_claim.is(Ok(()));
            // Only now, because the first claim has shown this worker to those that may refuse again.
            let is_quiet = !self.take_up_refused().await && is_quiet;
            self.tell_idle(waiting_for_idle, is_quiet, &claim);
            let pause = match claim {
                Ok(Claim::MoreMayWait) => continue,
                Ok(Claim::NextDueIn(delay)) => delay.min(LOOK_EVERY),
                // If the store fails, the next wake-up or look tries again.
                Ok(Claim::NothingDue) | Err(_) => LOOK_EVERY,
            };
            tokio::select! {
                () = self.signals.wake.notified() => {}
                () = sleep(pause) => {}
                _ = stopped.changed() => {}
            }
        }
    }

    /// Settles the waiters for idleness, unless they must wait on. If the claim failed, settles them
    /// with its error.
    fn tell_idle(
        &self,
        waiting: Vec<Completion<Option<i64>>>,
        is_quiet: bool,
        claim: &Result<Claim, WorldError>,
    ) {
        if !is_quiet || matches!(claim, Ok(Claim::MoreMayWait)) {
            return self.signals.idle.put_back(waiting);
        }
        let next_due_in_ms = match claim {
            // 292 million years from now counts as never.
            Ok(Claim::NextDueIn(delay)) => Ok(i64::try_from(delay.as_millis()).ok()),
            Ok(Claim::MoreMayWait | Claim::NothingDue) => Ok(None),
            Err(error) => Err(error.clone()),
        };
        waiting.into_iter().for_each(|done| done.settle(next_due_in_ms.clone()));
    }

    /// After this process has loaded code, takes up the messages that workers without it have refused.
    /// Returns whether there were any.
    async fn take_up_refused(&self) -> bool {
        let loads = self.signals.loads.load(Ordering::Acquire);
        if self.taken_up_after.get() == loads {
            return false;
        }
        let taken_up = ask(|done| self.delivering.store.take_up_refused(done)).await;
        let taken_up = self.delivering.noted(Duty::Claim, taken_up);
        if taken_up.is_ok() {
            self.taken_up_after.set(loads);
        }
        taken_up.is_ok_and(|count| count > 0)
    }

    /// Claims as many messages as may be in flight, and starts their delivery. The first claim is made
    /// even if nothing can be delivered yet: it shows that this process can claim and that it lives.
    async fn claim(self: &Rc<Self>) -> Result<Claim, WorldError> {
        let free = self.delivering.concurrency.saturating_sub(self.in_flight.len());
        let offer = self.offer();
        let limit = if offer.prefixes.is_empty() { 0 } else { free.min(CLAIM_MAX) };
        if limit == 0 && self.has_claimed.get() {
            return Ok(Claim::NothingDue);
        }
        self.leases.extend_if_late();
        let lease_owner = self.delivering.store.lease_owner().to_owned();
        let request = ClaimRequest { limit, offer, lease_owner, lease_ms: LEASE_MS };
        let claimed = ask(|done| self.delivering.store.claim(request, done)).await;
        let claimed = self.delivering.noted(Duty::Claim, claimed);
        let Claimed { deliveries, next_due_at_ms, now_ms } = claimed?;
        if !self.has_claimed.replace(true) {
            self.showing.show();
        }
        self.delivering.pulse.went_well(Duty::Dispatch);
        let got = deliveries.len();
        debug_assert!(got <= limit, "a claim gives no more than was asked for");
        for delivery in deliveries {
            self.in_flight.begin(delivery.message_id, delivery.lease_token.clone());
            spawn_local(Rc::clone(self).deliver(delivery));
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

    /// What this process can deliver now.
    fn offer(&self) -> Offer {
        let mut prefixes = Vec::new();
        if self.delivering.direct {
            prefixes = self.delivering.handlers.prefixes();
        }
        if self.app.as_ref().is_some_and(|app| app.answers()) {
            prefixes.extend(self.delivering.http_prefixes.iter().cloned());
        }
        self.delivering.offer_of(prefixes)
    }

    async fn deliver(self: Rc<Self>, delivery: Delivery) {
        let (message_id, attempt) = (delivery.message_id, delivery.attempt);
        let lease_token = delivery.lease_token.clone();
        let loads = self.signals.loads.load(Ordering::Acquire);
        let handled = caught(self.hand_over(delivery)).await;
        let handled = self.delivering.noted(Duty::Deliver, handled);
        let handled = handled.unwrap_or_else(|defect| Handled::Failed { error: defect.message });
        self.delivering.pulse.reach.handled(&handled, &*self.delivering.clock);
        let outcome = match outcome(handled, attempt, entropy::fraction()) {
            // Code that was loaded meanwhile may fit.
            Outcome::Refuse { error } if loads != self.signals.loads.load(Ordering::Acquire) => {
                Outcome::Release { delay_ms: 0, error, reached: false }
            }
            outcome => outcome,
        };
        let settle = self.settling.settle(message_id, lease_token.clone(), outcome);
        if let Err(defect) = caught(settle).await {
            self.delivering.failed(Duty::Settle, &defect);
        }
        // Always, so that no lease is kept without a delivery.
        self.in_flight.settled(message_id, &lease_token);
        self.signals.wake.notify_one();
    }

    async fn hand_over(&self, delivery: Delivery) -> Handled {
        let handler = self.delivering.handlers.of(&delivery.queue_name);
        let app = self.app.as_ref();
        match (handler.filter(|_| self.delivering.direct), app) {
            (Some(handler), _) => {
                let is_step = QueueKind::of(&delivery.queue_name) == Some(QueueKind::Step);
                let over_http = app.filter(|_| is_step).map(|app| (app, delivery.clone()));
                let handled = ask(|done| handler.hand_over(delivery, done)).await;
                match (handled, over_http) {
                    // The module of the app's step route loads the code.
                    (Ok(Handled::NotLoaded), Some((app, delivery))) => {
                        app.hand_over(delivery).await
                    }
                    (Ok(handled), _) => handled,
                    // The JavaScript environment has ended.
                    (Err(error), _) => Handled::NotReached { error: error.message },
                }
            }
            (None, Some(app)) => app.hand_over(delivery).await,
            (None, None) => Handled::NotReached { error: "the handler no longer exists".into() },
        }
    }

    async fn drain(&self) {
        let all_ended = async {
            while !self.in_flight.is_empty() {
                self.signals.wake.notified().await;
            }
        };
        if timeout(DRAIN, all_ended).await.is_err() {
            self.settling.give_back().await;
        }
    }
}

/// What the next claim waits for.
enum Claim {
    /// The claim was full: claim again at once.
    MoreMayWait,
    /// The next message becomes due after this time.
    NextDueIn(Duration),
    /// Only a wake-up.
    NothingDue,
}
