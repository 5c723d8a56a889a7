//! The rules of the queue: pure functions over the rows that a store loads.
//!
//! A store loads the rows that a rule takes, applies the rule in the same transaction, and writes the
//! result, as with [`super::transition`] for events. Each file answers one question.

pub mod back_off;
pub mod claim;
pub mod enqueue;
pub mod forgotten;
pub mod hold;
pub mod lease;
pub mod offer;
pub mod redrive;
pub mod settle;

use super::id::MessageId;

/// A message of a run that waits: it is neither leased nor dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The message.
    pub message_id: MessageId,
    /// Whether it replays the run and carries nothing else.
    pub is_wake_up: bool,
    /// The earliest time of its delivery.
    pub available_at_ms: i64,
    /// The number of its deliveries so far.
    pub attempt: i64,
    /// Whether it is [held](hold).
    pub is_held: bool,
}

/// The run's sleeping wake-up. A run has at most one wake-up that is not due yet.
fn sleeping(waiting: &[Waiting], now_ms: i64) -> Option<&Waiting> {
    let asleep =
        waiting.iter().filter(|it| it.is_wake_up && !it.is_held && it.available_at_ms > now_ms);
    asleep.min_by_key(|waiting| (waiting.available_at_ms, waiting.message_id))
}

#[cfg(test)]
pub(in crate::domain) mod test_kit {
    use proptest::prelude::*;

    use super::*;

    /// The current time of these tests.
    pub const NOW_MS: i64 = 1000;

    /// A waiting message that is due this many milliseconds after [`NOW_MS`].
    pub fn waiting(number: i64, is_wake_up: bool, in_ms: i64) -> Waiting {
        let message_id = MessageId::from_number(number);
        Waiting {
            message_id,
            is_wake_up,
            available_at_ms: NOW_MS + in_ms,
            attempt: number,
            is_held: false,
        }
    }

    /// Any messages that a store can hold of one run and one queue: any replays, one due and one
    /// sleeping wake-up.
    pub fn any_waiting() -> impl Strategy<Value = Vec<Waiting>> {
        let replays = prop::collection::vec(-50i64..50, 0..3);
        let (due, asleep) = (prop::option::of(-50i64..=0), prop::option::of(1i64..50));
        (replays, due, asleep).prop_map(|(replays, due, asleep)| {
            let replays = replays.into_iter().map(|in_ms| (false, in_ms));
            let wake_ups = due.into_iter().chain(asleep).map(|in_ms| (true, in_ms));
            let messages = replays.chain(wake_ups).enumerate();
            messages.map(|(n, (wakes, in_ms))| waiting(n as i64 + 1, wakes, in_ms)).collect()
        })
    }
}
