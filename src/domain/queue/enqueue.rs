//! How a message enters the queue.

use super::{Waiting, sleeping};
use crate::domain::id::{MessageId, RunId};
use crate::domain::message::{NewMessage, Purpose, WakeUp};
use crate::domain::run::Run;

/// The rows that [`place`] reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queued {
    /// The message with the same idempotency key that is not dead.
    pub with_key: Option<MessageId>,
    /// The waiting messages of the same run in the same queue.
    pub waiting: Vec<Waiting>,
}

/// The result of placing a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// Another message absorbs it and is delivered in its place.
    Absorbed(MessageId),
    /// It joins the run's sleeping wake-up, which is delivered in its place at this time.
    Joined {
        /// The wake-up.
        message_id: MessageId,
        /// The earlier time of the two.
        available_at_ms: i64,
    },
    /// It is added to the queue.
    Added,
}

/// The run whose waiting messages [`place`] reads. Only wake-ups are absorbed by other messages.
pub fn absorbing_run(message: &NewMessage) -> Option<&RunId> {
    match &message.purpose {
        Purpose::WakeUp(run_id) => Some(run_id),
        Purpose::Start(_) | Purpose::Replay(_) | Purpose::Other => None,
    }
}

/// Places a message that is to be delivered at `available_at_ms`.
///
/// A second message with an idempotency key is the first one. A due wake-up is absorbed by any due,
/// unclaimed replay of its run, because that replay will read every event committed by then. A sleeping
/// wake-up joins the run's other sleeping wake-up. The earlier time wins: an early wake-up costs one
/// replay, but a late one delays the run. A held message absorbs every wake-up of its run, because a
/// replay would be refused again.
pub fn place(
    message: &NewMessage,
    available_at_ms: i64,
    now_ms: i64,
    queued: &Queued,
) -> Placement {
    if let Some(first) = queued.with_key {
        return Placement::Absorbed(first);
    }
    if absorbing_run(message).is_none() {
        return Placement::Added;
    }
    if let Some(held) = queued.waiting.iter().find(|waiting| waiting.is_held) {
        return Placement::Absorbed(held.message_id);
    }
    if available_at_ms <= now_ms {
        let due = queued.waiting.iter().filter(|waiting| waiting.available_at_ms <= now_ms);
        let due = due.min_by_key(|waiting| (waiting.available_at_ms, waiting.message_id));
        return due.map_or(Placement::Added, |due| Placement::Absorbed(due.message_id));
    }
    sleeping(&queued.waiting, now_ms).map_or(Placement::Added, |asleep| Placement::Joined {
        message_id: asleep.message_id,
        available_at_ms: asleep.available_at_ms.min(available_at_ms),
    })
}

/// The run whose existence decides whether a start message is only a wake-up.
pub fn started_run(message: &NewMessage) -> Option<&RunId> {
    match &message.purpose {
        Purpose::Start(run_id) => Some(run_id),
        Purpose::WakeUp(_) | Purpose::Replay(_) | Purpose::Other => None,
    }
}

/// Turns the start message of a run that exists into a wake-up. The end of a run deletes its sleeping
/// wake-ups. A start message that is still asleep would stay in the queue until its time.
pub fn only_wakes(message: NewMessage, run: Option<&Run>) -> NewMessage {
    match (started_run(&message), run) {
        (Some(_), Some(run)) => {
            let wake_up = WakeUp::of(run);
            let body = wake_up.body();
            NewMessage { purpose: Purpose::WakeUp(wake_up.run_id), body, ..message }
        }
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_kit::{NOW_MS, any_waiting, waiting};
    use super::*;
    use crate::domain::transition::test_kit::{Rows, run_id};

    fn message(purpose: Purpose) -> NewMessage {
        NewMessage {
            queue_name: "__wkf_workflow_a".into(),
            purpose,
            body: b"{}".to_vec(),
            idempotency_key: None,
            headers: None,
            fence: None,
        }
    }

    fn wake_up() -> NewMessage {
        message(Purpose::WakeUp(run_id(1)))
    }

    fn placed(message: &NewMessage, in_ms: i64, waiting: &[Waiting]) -> Placement {
        let queued = Queued { with_key: None, waiting: waiting.to_vec() };
        place(message, NOW_MS + in_ms, NOW_MS, &queued)
    }

    #[test]
    fn a_second_message_with_a_key_is_the_first_one() {
        let first = MessageId::from_number(7);
        let queued = Queued { with_key: Some(first), waiting: Vec::new() };
        for purpose in [Purpose::Other, Purpose::WakeUp(run_id(1)), Purpose::Replay(run_id(1))] {
            let placement = place(&message(purpose), NOW_MS, NOW_MS, &queued);
            assert_eq!(placement, Placement::Absorbed(first));
        }
    }

    #[test]
    fn a_due_wake_up_is_absorbed_by_any_due_replay_and_by_no_sleeping_one() {
        for is_wake_up in [true, false] {
            let due = waiting(1, is_wake_up, 0);
            let absorbed = Placement::Absorbed(due.message_id);
            assert_eq!(placed(&wake_up(), 0, &[waiting(2, true, 5), due]), absorbed);
            assert_eq!(placed(&wake_up(), 0, &[waiting(1, is_wake_up, 1)]), Placement::Added);
        }
    }

    #[test]
    fn a_sleeping_wake_up_joins_the_other_at_the_earlier_time() {
        let asleep = [waiting(1, true, -5), waiting(2, false, 5), waiting(3, true, 20)];
        let joined = |in_ms| Placement::Joined {
            message_id: MessageId::from_number(3),
            available_at_ms: NOW_MS + in_ms,
        };
        assert_eq!(placed(&wake_up(), 30, &asleep), joined(20));
        assert_eq!(placed(&wake_up(), 10, &asleep), joined(10));
        assert_eq!(placed(&wake_up(), 10, &asleep[..2]), Placement::Added);
    }

    #[test]
    fn what_carries_more_than_a_wake_up_is_always_added() {
        let others = [waiting(1, true, 0), waiting(2, true, 5)];
        for purpose in [Purpose::Other, Purpose::Start(run_id(1)), Purpose::Replay(run_id(1))] {
            assert_eq!(placed(&message(purpose.clone()), 0, &others), Placement::Added);
            assert_eq!(placed(&message(purpose), 5, &others), Placement::Added);
        }
    }

    #[test]
    fn a_start_message_only_wakes_a_run_that_exists() {
        let rows = Rows::with_running_run();
        let start = message(Purpose::Start(run_id(1)));
        assert_eq!(only_wakes(start.clone(), None), start);
        let waking = only_wakes(start, rows.runs.get(&run_id(1)));
        assert_eq!(waking.purpose, Purpose::WakeUp(run_id(1)));
        assert_eq!(waking.body, WakeUp::of(&rows.runs[&run_id(1)]).body());
        let replay = message(Purpose::Replay(run_id(1)));
        assert_eq!(only_wakes(replay.clone(), rows.runs.get(&run_id(1))), replay);
    }

    proptest! {
        /// A run is woken no later than requested, and a wake-up is never added beside another one of
        /// its kind.
        #[test]
        fn a_wake_up_comes_in_time_and_once(in_ms in -50i64..50, waiting in any_waiting()) {
            let available_at_ms = NOW_MS + in_ms;
            let comes_at = match placed(&wake_up(), in_ms, &waiting) {
                Placement::Absorbed(id) => {
                    waiting.iter().find(|other| other.message_id == id).unwrap().available_at_ms
                }
                Placement::Joined { available_at_ms, .. } => available_at_ms,
                Placement::Added => {
                    let alike = |other: &&Waiting| {
                        other.is_wake_up
                            && (other.available_at_ms > NOW_MS) == (available_at_ms > NOW_MS)
                    };
                    prop_assert!(waiting.iter().find(alike).is_none());
                    available_at_ms
                }
            };
            prop_assert!(comes_at.max(NOW_MS) <= available_at_ms.max(NOW_MS));
        }
    }
}
