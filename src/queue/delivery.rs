//! One attempt to hand a message to a handler, and the outcome for the queue.

use std::sync::{Arc, RwLock};

use crate::domain::message::Delivery;
use crate::domain::queue::back_off;
use crate::lock;
use crate::store::{Completion, Outcome};

/// The result of handing a message over.
#[derive(Debug, Clone, PartialEq)]
pub enum Handled {
    /// The handler is done.
    Done,
    /// The handler wants the same message again after this many seconds.
    Again {
        /// From now; 0 means at once.
        seconds: f64,
    },
    /// The handler failed.
    Failed {
        /// Its error.
        error: String,
    },
    /// The handler cannot deliver any message in this process.
    Unable {
        /// The reason.
        error: String,
    },
    /// The handler asked for something that will be refused every time.
    Refused {
        /// The reason.
        error: String,
    },
    /// The connection broke, so nobody knows how far the handler came; or something before the handler
    /// refuses the message.
    Lost {
        /// The error.
        error: String,
    },
    /// This process has not loaded the code that the message is for; the app's own routes may load it.
    NotLoaded,
    /// The code of the handler does not fit the run or step, and other code may.
    CodeMismatch {
        /// The reason.
        error: String,
    },
    /// No handler was reached.
    NotReached {
        /// The reason.
        error: String,
    },
}

/// A handler in this process; the binding implements it with a JavaScript function.
pub trait Handler: Send + Sync + 'static {
    /// Hands a message over; settles with the result.
    fn hand_over(&self, delivery: Delivery, done: Completion<Handled>);
}

/// The handlers of this process, by the prefix of their queue names.
#[derive(Default)]
pub struct Handlers(RwLock<Vec<Registered>>);

struct Registered {
    prefix: String,
    owner: u64,
    handler: Arc<dyn Handler>,
}

impl Handlers {
    /// Registers a handler for `owner`. The last handler of a prefix is called. When it is
    /// deregistered, the one before it is called again.
    pub fn register(&self, prefix: String, owner: u64, handler: Arc<dyn Handler>) {
        let mut all = lock::write(&self.0);
        all.retain(|registered| (registered.owner, &registered.prefix) != (owner, &prefix));
        all.push(Registered { prefix, owner, handler });
    }

    /// Removes the handlers of an owner.
    pub fn deregister(&self, owner: u64) {
        let mut all = lock::write(&self.0);
        all.retain(|registered| registered.owner != owner);
    }

    /// The prefixes that have a handler.
    pub fn prefixes(&self) -> Vec<String> {
        let all = lock::read(&self.0);
        all.iter().map(|registered| registered.prefix.clone()).collect()
    }

    /// The handler of a queue name.
    pub fn of(&self, queue_name: &str) -> Option<Arc<dyn Handler>> {
        let all = lock::read(&self.0);
        all.iter()
            .rfind(|registered| queue_name.starts_with(&registered.prefix))
            .map(|registered| Arc::clone(&registered.handler))
    }
}

/// What is said of a message whose code no process has that was asked.
pub(super) const NOT_LOADED: &str = "this process has not loaded the step's code, and messages go to handlers in \
     this process only: load the module of the step route, or set WORKFLOW_HOOKLINE_DELIVERY to auto";

/// The outcome for the message after an attempt. `fraction` in `0..1` is jitter.
pub fn outcome(handled: Handled, attempt: i64, fraction: f64) -> Outcome {
    match handled {
        Handled::Done => Outcome::Ack,
        Handled::Again { seconds } => {
            // A saturating cast: centuries are as good as for ever.
            Outcome::Reschedule { delay_ms: (seconds.max(0.0) * 1000.0) as i64 }
        }
        Handled::Failed { error } | Handled::Lost { error }
            if attempt >= back_off::ATTEMPTS_MAX =>
        {
            Outcome::Dead { error }
        }
        Handled::Failed { error } | Handled::Lost { error } => Outcome::Release {
            delay_ms: back_off::delay_ms(attempt, fraction),
            error,
            reached: true,
        },
        Handled::CodeMismatch { error } => Outcome::Refuse { error },
        Handled::Refused { error } => Outcome::Dead { error },
        Handled::Unable { error } => Outcome::unable(error),
        Handled::NotLoaded => Outcome::Refuse { error: NOT_LOADED.to_owned() },
        Handled::NotReached { error } => {
            Outcome::Release { delay_ms: back_off::delay_ms(1, fraction), error, reached: false }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_retried_until_the_last_attempt_a_miss_for_ever_and_a_refusal_never() {
        let failed = || Handled::Failed { error: "e".into() };
        assert!(matches!(outcome(failed(), 1, 0.5), Outcome::Release { reached: true, .. }));
        assert!(matches!(outcome(failed(), 49, 0.5), Outcome::Release { .. }));
        let last = back_off::ATTEMPTS_MAX;
        assert_eq!(outcome(failed(), last, 0.5), Outcome::Dead { error: "e".into() });
        let missed = Handled::NotReached { error: "e".into() };
        assert!(matches!(outcome(missed, 1000, 0.5), Outcome::Release { reached: false, .. }));
        let unable = Handled::Unable { error: "e".into() };
        assert!(matches!(outcome(unable, 1000, 0.5), Outcome::Release { reached: false, .. }));
        let elsewhere = outcome(Handled::NotLoaded, 1000, 0.5);
        assert!(matches!(elsewhere, Outcome::Refuse { .. }));
        let mismatch = Handled::CodeMismatch { error: "e".into() };
        assert_eq!(outcome(mismatch, 1000, 0.5), Outcome::Refuse { error: "e".into() });
        let refused = Handled::Refused { error: "e".into() };
        assert_eq!(outcome(refused, 1, 0.5), Outcome::Dead { error: "e".into() });
        let lost = Handled::Lost { error: "e".into() };
        assert_eq!(outcome(lost, last, 0.5), Outcome::Dead { error: "e".into() });
    }

    #[test]
    fn a_wish_to_be_called_again_becomes_a_delay() {
        let again = |seconds| outcome(Handled::Again { seconds }, 1, 0.5);
        assert_eq!(again(0.0), Outcome::Reschedule { delay_ms: 0 });
        assert_eq!(again(3_000_000.5), Outcome::Reschedule { delay_ms: 3_000_000_500 });
        assert_eq!(again(-1.0), Outcome::Reschedule { delay_ms: 0 });
        assert_eq!(again(f64::INFINITY), Outcome::Reschedule { delay_ms: i64::MAX });
    }
}
