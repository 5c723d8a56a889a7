//! What becomes of a message when its delivery ends.

use super::{Waiting, sleeping};
use crate::domain::id::MessageId;

/// When a message comes again that this process could not deal with, in milliseconds.
pub const UNABLE_DELAY_MS: i64 = 10_000;

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done: the message goes.
    Ack,
    /// The handler wants the same message again after this many milliseconds.
    Reschedule {
        /// From now.
        delay_ms: i64,
    },
    /// The handler failed, or was not reached.
    Release {
        /// From now.
        delay_ms: i64,
        /// What went wrong, for people.
        error: String,
        /// Whether a handler was reached; otherwise the attempt does not count.
        reached: bool,
    },
    /// Given up: the message stays, visible and undelivered.
    Dead {
        /// What went wrong, for people.
        error: String,
    },
}

impl Outcome {
    /// This process cannot deal with the message, whose attempt does not count: another process may,
    /// or this one when somebody has mended it.
    pub fn unable(error: String) -> Self {
        Self::Release { delay_ms: UNABLE_DELAY_MS, error, reached: false }
    }
}

/// A message that is being delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Whether it replays its run and carries nothing else.
    pub is_wake_up: bool,
    /// How often it was delivered; this delivery counts.
    pub attempt: i64,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// It goes.
    Gone,
    /// It is given up.
    Dead {
        /// What went wrong.
        error: String,
    },
    /// It waits again.
    Back(Back),
    /// It goes, and the wake-up that its run sleeps in takes its place.
    Joined {
        /// That wake-up.
        other: MessageId,
        /// How that waits from now on.
        back: Back,
    },
}

/// How a message waits again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// The earliest time at which it is delivered.
    pub available_at_ms: i64,
    /// How often it was delivered, as far as that counts.
    pub attempt: i64,
    /// What went wrong; `None` leaves what is known from before, if anything.
    pub error: Option<String>,
}

/// Settles a delivery; `waiting` are the waiting messages of its run in its queue.
///
/// A run sleeps in one wake-up only. A wake-up that goes to sleep, because its run waits or its handler
/// failed, joins the other one: the earlier time and the higher count of attempts win.
pub fn settle(
    outcome: Outcome,
    message: &Delivered,
    waiting: &[Waiting],
    now_ms: i64,
) -> Settlement {
    let (delay_ms, attempt, error) = match outcome {
        Outcome::Ack => return Settlement::Gone,
        Outcome::Dead { error } => return Settlement::Dead { error },
        // The handler succeeded, so its next delivery is a first one.
        Outcome::Reschedule { delay_ms } => (delay_ms, 0, None),
        Outcome::Release { delay_ms, error, reached: true } => {
            (delay_ms, message.attempt, Some(error))
        }
        Outcome::Release { delay_ms, error, reached: false } => {
            (delay_ms, (message.attempt - 1).max(0), Some(error))
        }
    };
    let back = Back { available_at_ms: now_ms.saturating_add(delay_ms), attempt, error };
    let joined =
        sleeping(waiting, now_ms).filter(|_| message.is_wake_up && back.available_at_ms > now_ms);
    match joined {
        None => Settlement::Back(back),
        Some(other) => Settlement::Joined {
            other: other.message_id,
            back: Back {
                available_at_ms: back.available_at_ms.min(other.available_at_ms),
                attempt: back.attempt.max(other.attempt),
                error: back.error,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_kit::{NOW_MS, any_waiting, waiting};
    use super::*;

    const WAKE_UP: Delivered = Delivered { is_wake_up: true, attempt: 3 };
    const REPLAY: Delivered = Delivered { is_wake_up: false, attempt: 3 };

    fn failed(delay_ms: i64, reached: bool) -> Outcome {
        Outcome::Release { delay_ms, error: "e".into(), reached }
    }

    fn back(in_ms: i64, attempt: i64, error: Option<&str>) -> Back {
        let error = error.map(str::to_owned);
        Back { available_at_ms: NOW_MS + in_ms, attempt, error }
    }

    #[test]
    fn an_attempt_counts_when_a_handler_failed() {
        let attempt = |outcome| match settle(outcome, &REPLAY, &[], NOW_MS) {
            Settlement::Back(back) => back.attempt,
            other => panic!("{other:?}"),
        };
        assert_eq!(attempt(failed(5, true)), 3);
        assert_eq!(attempt(failed(5, false)), 2, "no handler was reached");
        assert_eq!(attempt(Outcome::unable("e".into())), 2);
        assert_eq!(attempt(Outcome::Reschedule { delay_ms: 5 }), 0, "the handler succeeded");
    }

    #[test]
    fn a_message_goes_when_it_is_done_and_stays_when_it_is_given_up() {
        let others = [waiting(1, true, 5)];
        assert_eq!(settle(Outcome::Ack, &WAKE_UP, &others, NOW_MS), Settlement::Gone);
        let dead = settle(Outcome::Dead { error: "e".into() }, &WAKE_UP, &others, NOW_MS);
        assert_eq!(dead, Settlement::Dead { error: "e".into() });
    }

    #[test]
    fn a_wake_up_that_goes_to_sleep_joins_the_one_that_sleeps() {
        let asleep = [waiting(2, true, 10)];
        let other = MessageId::from_number(2);
        let joined = |back| Settlement::Joined { other, back };
        let settled = |outcome| settle(outcome, &WAKE_UP, &asleep, NOW_MS);
        assert_eq!(settled(failed(20, true)), joined(back(10, 3, Some("e"))));
        assert_eq!(settled(Outcome::Reschedule { delay_ms: 5 }), joined(back(5, 2, None)));
        // What comes again at once is not asleep.
        assert_eq!(settled(failed(0, true)), Settlement::Back(back(0, 3, Some("e"))));
        let due = [waiting(2, true, 0), waiting(3, false, 5)];
        let alone = settle(failed(20, true), &WAKE_UP, &due, NOW_MS);
        assert_eq!(alone, Settlement::Back(back(20, 3, Some("e"))));
        let replay = settle(failed(20, true), &REPLAY, &asleep, NOW_MS);
        assert_eq!(replay, Settlement::Back(back(20, 3, Some("e"))));
    }

    proptest! {
        /// The run comes again no later than asked for, and never with fewer attempts than counted.
        #[test]
        fn nothing_is_lost_by_joining(delay_ms in 0i64..60, waiting in any_waiting()) {
            match settle(failed(delay_ms, true), &WAKE_UP, &waiting, NOW_MS) {
                Settlement::Joined { back, .. } | Settlement::Back(back) => {
                    prop_assert!(back.available_at_ms <= NOW_MS + delay_ms);
                    prop_assert!(back.attempt >= WAKE_UP.attempt);
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
