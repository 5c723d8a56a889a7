//! What this process knows of the way of its deliveries: where the app answers, or why it is silent, and
//! the last delivery that no handler took. Other processes see it in the lock file.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::delivery::{Handled, NOT_LOADED};
use super::silence::Silence;
use crate::clock::Clock;
use crate::lock::lock;

/// The most characters of an error that are shown.
const ERROR_CHARS_MAX: usize = 500;

/// The way of the deliveries.
#[derive(Default)]
pub struct Reach {
    app: Mutex<AppSeen>,
    refusal: Mutex<Option<Refusal>>,
    /// Whether there is a refusal, so that a success costs no lock.
    is_refused: AtomicBool,
}

/// What is known of the app.
#[derive(Default)]
struct AppSeen {
    /// The URL at which it answered last.
    at: Option<String>,
    /// Why it does not answer, and since when. `None` while it answers or is not needed.
    silent: Option<(Silence, i64)>,
}

/// Deliveries in succession that no handler took.
struct Refusal {
    error: String,
    times: u64,
    last_at_ms: i64,
}

impl Reach {
    /// The app has answered at this URL.
    pub(super) fn answered(&self, at: String) {
        *lock(&self.app) = AppSeen { at: Some(at), silent: None };
    }

    /// The app has not answered.
    pub(super) fn silent(&self, silence: Silence, now_ms: i64) {
        let mut app = lock(&self.app);
        let since_ms = app.silent.as_ref().map_or(now_ms, |(_, since_ms)| *since_ms);
        app.silent = Some((silence, since_ms));
    }

    /// The app is not needed any longer.
    pub(super) fn needs_no_app(&self) {
        *lock(&self.app) = AppSeen::default();
    }

    /// Notes the result of a delivery. Only a refusal reads the clock.
    pub(super) fn handled(&self, handled: &Handled, clock: &dyn Clock) {
        let error = match handled {
            Handled::Unable { error } | Handled::NotReached { error } => error.as_str(),
            Handled::NotLoaded => NOT_LOADED,
            _ => {
                if self.is_refused.swap(false, Ordering::Relaxed) {
                    *lock(&self.refusal) = None;
                }
                return;
            }
        };
        let mut refusal = lock(&self.refusal);
        let times = refusal.as_ref().map_or(0, |refusal| refusal.times) + 1;
        let error = error.chars().take(ERROR_CHARS_MAX).collect();
        *refusal = Some(Refusal { error, times, last_at_ms: clock.now_ms() });
        self.is_refused.store(true, Ordering::Relaxed);
    }

    /// The parts `app` and `refusal` of a `LivingWorker` of `ts/world/workers.ts`.
    pub(super) fn report(&self) -> (Value, Value) {
        let app = lock(&self.app);
        let silence = app.silent.as_ref().map(|(silence, since_ms)| {
            let mut report = silence.report();
            report["sinceMs"] = json!(since_ms);
            report
        });
        let refusal = lock(&self.refusal);
        let refusal = refusal.as_ref().map(|Refusal { error, times, last_at_ms }| {
            json!({ "error": error, "times": times, "lastAtMs": last_at_ms })
        });
        (json!({ "at": app.at, "silence": silence }), json!(refusal))
    }
}

#[cfg(test)]
mod tests {
    use super::super::silence::SilenceKind;
    use super::*;
    use crate::clock::ManualClock;

    fn silence(found: &str) -> Silence {
        Silence::new(SilenceKind::Late, found)
    }

    #[test]
    fn a_silence_lasts_from_its_first_reason_until_the_app_answers() {
        let reach = Reach::default();
        reach.silent(silence("a"), 1);
        reach.silent(silence("b"), 2);
        let said = json!({ "kind": "late", "found": "b", "sinceMs": 1 });
        assert_eq!(reach.report().0, json!({ "at": null, "silence": said }));
        reach.answered("http://h".into());
        assert_eq!(reach.report().0, json!({ "at": "http://h", "silence": null }));
        reach.silent(silence("c"), 3);
        assert_eq!(reach.report().0["silence"]["sinceMs"], 3);
        assert_eq!(reach.report().0["at"], "http://h", "it answered there last");
        reach.needs_no_app();
        assert_eq!(reach.report().0, json!({ "at": null, "silence": null }));
    }

    #[test]
    fn refusals_are_counted_until_a_handler_takes_a_delivery() {
        let reach = Reach::default();
        assert_eq!(reach.report().1, Value::Null);
        let clock = ManualClock::at(2);
        reach.handled(&Handled::NotReached { error: "x".repeat(1000) }, &clock);
        reach.handled(&Handled::Unable { error: "no key".into() }, &clock);
        assert_eq!(reach.report().1, json!({ "error": "no key", "times": 2, "lastAtMs": 2 }));
        reach.handled(&Handled::NotLoaded, &clock);
        assert_eq!(reach.report().1["error"], NOT_LOADED);
        reach.handled(&Handled::Failed { error: "of the handler".into() }, &clock);
        assert_eq!(reach.report().1, Value::Null);
    }
}
