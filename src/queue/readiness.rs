//! Is the app ready? Asks it until it accepts deliveries over HTTP, and again after a delivery did not
//! reach it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::address::AppAddress;
use super::app::READY_WITHIN;
use super::asking::{ask, caught};
use super::delivery::Handled;
use super::dispatcher::{Delivering, Signals};
use super::http::HttpDelivery;
use super::pulse::Duty;
use crate::domain::message::Delivery;
use crate::error::{ErrorKind, WorldError};

/// The first interval at which an app that does not answer is asked again.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// The longest such interval, when it has not answered for long.
const ASK_EVERY_MAX: Duration = Duration::from_secs(2);
/// An app that is silent for this long, while a message has been due for as long, is a fault.
const SILENT_MAX: Duration = Duration::from_secs(10);

const _: () = {
    assert!(ASK_EVERY.as_millis() < ASK_EVERY_MAX.as_millis(), "the pauses grow");
    let asked = READY_WITHIN.as_millis() + ASK_EVERY_MAX.as_millis();
    assert!(2 * asked < SILENT_MAX.as_millis(), "a silent app has been asked several times");
};

/// The app, and whether it accepts deliveries over HTTP.
pub(super) struct Readiness {
    delivering: Rc<Delivering>,
    signals: Arc<Signals>,
    http: HttpDelivery,
    stage: Cell<Stage>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The app was not asked yet, or did not answer.
    Unknown,
    /// It is being asked.
    Asked,
    /// It answers.
    Answers,
}

impl Readiness {
    pub(super) fn of(
        app: AppAddress,
        delivering: Rc<Delivering>,
        signals: Arc<Signals>,
    ) -> Rc<Self> {
        let http = HttpDelivery::new(app, Arc::clone(&delivering.store));
        Rc::new(Self { delivering, signals, http, stage: Cell::new(Stage::Unknown) })
    }

    /// Whether the app accepts deliveries now. If this is unknown and may be needed, asks the app. Its
    /// answer wakes the dispatcher.
    pub(super) fn answers(self: &Rc<Self>) -> bool {
        if self.stage.get() == Stage::Unknown && !self.delivering.all_is_direct() {
            self.stage.set(Stage::Asked);
            tokio::task::spawn_local(Rc::clone(self).ask());
        }
        self.stage.get() == Stage::Answers
    }

    /// Hands one message over to the app.
    pub(super) async fn hand_over(&self, delivery: Delivery) -> Handled {
        if self.stage.get() != Stage::Answers {
            // A process whose handlers take every queue has not asked for the app.
            match self.http.is_ready().await {
                Ok(at) => self.delivering.pulse.reach.answered(at),
                Err(silence) => return Handled::NotReached { error: silence.found },
            }
        }
        let handled = self.http.hand_over(delivery).await;
        let is_there = !matches!(handled, Handled::NotReached { .. } | Handled::Lost { .. });
        // If the app is being asked already, it is not asked twice.
        if !is_there && self.stage.get() == Stage::Answers {
            self.stage.set(Stage::Unknown);
        }
        handled
    }

    async fn ask(self: Rc<Self>) {
        debug_assert!(self.stage.get() == Stage::Asked, "one asks at a time");
        let asked = caught(self.ask_until_it_answers()).await;
        let asked = self.delivering.noted(Duty::ReachApp, asked);
        if asked.is_err() {
            sleep(ASK_EVERY_MAX).await;
        }
        let answers = asked.unwrap_or(false);
        self.stage.set(if answers { Stage::Answers } else { Stage::Unknown });
        self.signals.wake.notify_one();
    }

    /// Returns `true` once the app answers, and `false` once it need not be asked any longer.
    async fn ask_until_it_answers(&self) -> bool {
        let mut pause = ASK_EVERY;
        let mut silent_since = Instant::now();
        let reach = &self.delivering.pulse.reach;
        while !self.delivering.all_is_direct() {
            let silence = match self.http.is_ready().await {
                Ok(at) => {
                    reach.answered(at);
                    return true;
                }
                Err(silence) => silence,
            };
            reach.silent(silence.clone(), self.delivering.clock.now_ms());
            if silent_since.elapsed() >= SILENT_MAX {
                silent_since = Instant::now();
                self.note_silence(&silence.found).await;
            }
            sleep(pause).await;
            pause = (pause * 2).min(ASK_EVERY_MAX);
        }
        reach.needs_no_app();
        false
    }

    /// A silent app is a fault once messages wait for it.
    async fn note_silence(&self, found: &str) {
        let own = self.delivering.offer_of(self.delivering.http_prefixes.clone());
        let depth = ask(|done| self.delivering.store.queue_depth(vec![own], done)).await;
        // A failing store also fails the claims, which report it.
        let oldest_due_ms = depth.ok().and_then(|depth| depth.oldest_due_ms).unwrap_or(0);
        if oldest_due_ms < SILENT_MAX.as_millis() as i64 {
            return;
        }
        let message = format!("messages are due, but the app does not take them: {found}");
        self.delivering.failed(Duty::ReachApp, &WorldError::new(ErrorKind::NotFound, message));
    }
}
