//! What happens to a message when its delivery ends.

use super::{Waiting, sleeping};
use crate::domain::id::MessageId;
use crate::domain::spec::SpecVersion;

/// The delay before the next delivery of a message that this process was unable to deliver, in
/// milliseconds.
pub const UNABLE_DELAY_MS: i64 = 10_000;

/// The outcome of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done. The message is deleted.
    Ack,
    /// The handler wants the same message again after this many milliseconds.
    Reschedule {
        /// From now.
        delay_ms: i64,
    },
    /// The handler failed or was not reached.
    Release {
        /// From now.
        delay_ms: i64,
        /// The error, for people to read.
        error: String,
        /// Whether a handler was reached; otherwise the attempt does not count.
        reached: bool,
    },
    /// This worker does not have the code that the message needs. Another worker may have it, so the
    /// attempt does not count.
    Refuse {
        /// The reason, for people to read.
        error: String,
    },
    /// Dead: the message stays visible and is not delivered.
    Dead {
        /// The error, for people to read.
        error: String,
    },
}

impl Outcome {
    /// This process is unable to deliver the message. The attempt does not count, because another
    /// process may be able to, or this one after a person has repaired it.
    pub fn unable(error: String) -> Self {
        Self::Release { delay_ms: UNABLE_DELAY_MS, error, reached: false }
    }
}

/// A message that is being delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Whether it replays its run and carries nothing else.
    pub is_wake_up: bool,
    /// The number of its deliveries, including this one.
    pub attempt: i64,
    /// The spec version of its run; 0 if it is not known.
    pub spec_version: u32,
}

/// The effect on the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// It is deleted.
    Gone,
    /// It is dead.
    Dead {
        /// The error.
        error: String,
    },
    /// The worker refuses it; see [`hold`](super::hold).
    Refused {
        /// The reason.
        error: String,
    },
    /// It waits again.
    Back(Back),
    /// It is deleted, and the run's sleeping wake-up takes its place.
    Joined {
        /// The sleeping wake-up.
        other: MessageId,
        /// The new state of the sleeping wake-up.
        back: Back,
    },
}

/// The state of a message that waits again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// The earliest time of its delivery.
    pub available_at_ms: i64,
    /// The number of its counted deliveries.
    pub attempt: i64,
    /// The error; `None` keeps the previous error, if any.
    pub error: Option<String>,
}

/// Settles a delivery. `waiting` holds the waiting messages of its run in its queue.
///
/// A run has only one sleeping wake-up. If a delivered wake-up goes to sleep again, because its run
/// waits or its handler failed, it joins the other one. The earlier time and the higher number of
/// attempts win.
///
/// On line 5 a message stays what it is. A step names the message whose delivery executes it, and only the
/// next delivery of that message executes it again at once. So the message keeps its id, and its attempts
/// go on counting when its handler asks for it again.
pub fn settle(
    outcome: Outcome,
    message: &Delivered,
    waiting: &[Waiting],
    now_ms: i64,
) -> Settlement {
    let line = SpecVersion(message.spec_version);
    let (delay_ms, attempt, error) = match outcome {
        Outcome::Ack => return Settlement::Gone,
        Outcome::Dead { error } => return Settlement::Dead { error },
        Outcome::Refuse { error } => return Settlement::Refused { error },
        Outcome::Reschedule { delay_ms } if line.messages_stay() => {
            (delay_ms, message.attempt, None)
        }
        // The handler succeeded, so the next delivery counts as the first.
        Outcome::Reschedule { delay_ms } => (delay_ms, 0, None),
        Outcome::Release { delay_ms, error, reached: true } => {
            (delay_ms, message.attempt, Some(error))
        }
        Outcome::Release { delay_ms, error, reached: false } => {
            (delay_ms, (message.attempt - 1).max(0), Some(error))
        }
    };
    let back = Back { available_at_ms: now_ms.saturating_add(delay_ms), attempt, error };
    let joins = message.is_wake_up && !line.messages_stay() && back.available_at_ms > now_ms;
    let joined = sleeping(waiting, now_ms).filter(|_| joins);
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

    const WAKE_UP: Delivered = Delivered { is_wake_up: true, attempt: 3, spec_version: 3 };
    const REPLAY: Delivered = Delivered { is_wake_up: false, attempt: 3, spec_version: 3 };

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
        // A message that is due at once is not asleep.
        assert_eq!(settled(failed(0, true)), Settlement::Back(back(0, 3, Some("e"))));
        let due = [waiting(2, true, 0), waiting(3, false, 5)];
        let alone = settle(failed(20, true), &WAKE_UP, &due, NOW_MS);
        assert_eq!(alone, Settlement::Back(back(20, 3, Some("e"))));
        let replay = settle(failed(20, true), &REPLAY, &asleep, NOW_MS);
        assert_eq!(replay, Settlement::Back(back(20, 3, Some("e"))));
    }

    #[test]
    fn a_message_of_line_5_keeps_its_id_and_counts_every_delivery() {
        let of_line_5 = Delivered { spec_version: 6, ..WAKE_UP };
        let asleep = [waiting(2, true, 10)];
        for (outcome, kept) in [
            (failed(20, true), back(20, 3, Some("e"))),
            (failed(20, false), back(20, 2, Some("e"))),
            (Outcome::Reschedule { delay_ms: 20 }, back(20, 3, None)),
            (Outcome::Reschedule { delay_ms: 0 }, back(0, 3, None)),
        ] {
            assert_eq!(settle(outcome, &of_line_5, &asleep, NOW_MS), Settlement::Back(kept));
        }
    }

    proptest! {
        /// The run is delivered no later than requested, and never with fewer attempts than were
        /// counted.
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
