//! How a message enters the queue.

use super::offer::Demand;
use super::{Waiting, sleeping};
use crate::domain::id::{MessageId, RunId};
use crate::domain::message::{NewMessage, Purpose, WakeUp};
use crate::domain::retention::Keeping;
use crate::domain::run::Run;
use crate::domain::spec::SpecVersion;

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
        Purpose::Start(_) | Purpose::Replay(_) | Purpose::Step { .. } | Purpose::Other => None,
    }
}

/// Places a message that is to be delivered at `available_at_ms`.
///
/// A second message with an idempotency key is the first one. A due wake-up is absorbed by any due,
/// unclaimed replay of its run, because that replay will read every event committed by then. A sleeping
/// wake-up joins the run's other sleeping wake-up. The earlier time wins: an early wake-up costs one
/// replay, but a late one delays the run. A held message absorbs every wake-up of its run, because a
/// replay would be refused again.
///
/// Where deliveries of a run overlap, the handler of an earlier delivery of a waiting message may still
/// run, and then the next delivery joins it. What it has read by now may be older than the new event, so
/// the message absorbs nothing.
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
        let overlaps = SpecVersion(message.demand.spec_version).replays_overlap();
        let is_due = |waiting: &&Waiting| {
            waiting.available_at_ms <= now_ms && !(overlaps && waiting.attempt > 0)
        };
        let due = queued.waiting.iter().filter(is_due);
        let due = due.min_by_key(|waiting| (waiting.available_at_ms, waiting.message_id));
        return due.map_or(Placement::Added, |due| Placement::Absorbed(due.message_id));
    }
    sleeping(&queued.waiting, now_ms).map_or(Placement::Added, |asleep| Placement::Joined {
        message_id: asleep.message_id,
        available_at_ms: asleep.available_at_ms.min(available_at_ms),
    })
}

/// Makes a message of a run that exists what it is for that run: it needs what the run needs, and a start
/// message is only a wake-up. The end of a run deletes its sleeping wake-ups; a start message that is
/// still asleep would stay in the queue until its time.
pub fn of_run(message: NewMessage, run: Option<&Run>) -> NewMessage {
    let message = NewMessage { demand: Demand::of_message(&message, run), ..message };
    match (&message.purpose, run) {
        (Purpose::Start(_), Some(run)) => {
            let wake_up = WakeUp::of(run);
            let (purpose, body) = (Purpose::WakeUp(wake_up.run_id.clone()), wake_up.body());
            NewMessage { purpose, body, keeping: Keeping::Kept, ..message }
        }
        (Purpose::Replay(_) | Purpose::Step { .. }, Some(run)) => {
            NewMessage { keeping: Keeping::of(run), ..message }
        }
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_kit::{NOW_MS, any_waiting, waiting};
    use super::*;
    use crate::domain::event::EventBody;
    use crate::domain::transition::test_kit::{Rows, changes, id, run_id};

    fn message(purpose: Purpose) -> NewMessage {
        NewMessage {
            queue_name: "__wkf_workflow_a".into(),
            purpose,
            body: b"{}".to_vec(),
            ..NewMessage::default()
        }
    }

    fn step() -> Purpose {
        Purpose::Step { run_id: run_id(1), step_id: id("s") }
    }

    fn replay() -> Purpose {
        Purpose::Replay(run_id(1))
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
        for purpose in [Purpose::Other, step(), Purpose::WakeUp(run_id(1)), replay()] {
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
        for purpose in [Purpose::Other, step(), Purpose::Start(run_id(1)), replay()] {
            assert_eq!(placed(&message(purpose.clone()), 0, &others), Placement::Added);
            assert_eq!(placed(&message(purpose), 5, &others), Placement::Added);
        }
    }

    #[test]
    fn a_start_message_only_wakes_a_run_that_exists() {
        let rows = Rows::with_running_run();
        let run = rows.run();
        let start = message(Purpose::Start(run_id(1)));
        assert_eq!(of_run(start.clone(), None), start);
        let waking = of_run(start, Some(run));
        let wake_up = WakeUp::of(run).into_message("__wkf_workflow_");
        assert_eq!(waking, NewMessage { queue_name: "__wkf_workflow_a".into(), ..wake_up });
        let replay = message(replay());
        let of_run = of_run(replay.clone(), Some(run));
        assert_eq!(of_run, NewMessage { demand: Demand::of(run), ..replay });
    }

    #[test]
    fn the_body_of_a_message_is_kept_as_the_values_of_its_run_and_a_wake_up_has_none() {
        let mut rows = Rows::with_running_run_of(8);
        rows.does(EventBody::AttrSet {
            id: None,
            changes: changes(&[("$retention", Some("0"))], true),
        });
        for purpose in [replay(), step()] {
            let kept = of_run(message(purpose), Some(rows.run())).keeping;
            assert_eq!(kept, Keeping::Dropped);
        }
        let start = NewMessage { keeping: Keeping::Dropped, ..message(Purpose::Start(run_id(1))) };
        assert_eq!(of_run(start.clone(), None).keeping, Keeping::Dropped);
        for waking in [start, wake_up()] {
            assert_eq!(of_run(waking, Some(rows.run())).keeping, Keeping::Kept);
        }
    }

    #[test]
    fn a_wake_up_of_a_run_whose_deliveries_overlap_is_absorbed_only_by_what_was_never_delivered() {
        let of_line_5 =
            NewMessage { demand: Demand { spec_version: 6, ..Demand::default() }, ..wake_up() };
        let fresh = Waiting { attempt: 0, ..waiting(2, true, 0) };
        let delivered = waiting(1, true, -5);
        assert_eq!(placed(&of_line_5, 0, std::slice::from_ref(&delivered)), Placement::Added);
        let absorbed = Placement::Absorbed(fresh.message_id);
        assert_eq!(placed(&of_line_5, 0, &[delivered.clone(), fresh]), absorbed);
        assert_eq!(
            placed(&wake_up(), 0, std::slice::from_ref(&delivered)),
            Placement::Absorbed(delivered.message_id)
        );
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
