//! Which deliveries over HTTP run in this process.
//!
//! A request may come twice: a proxy repeats it, or gives up on it while its handler still runs, so
//! that the message is delivered again. The first does nothing, the second must wait: two replays of
//! one run at a time would corrupt its log.

use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;

use super::purpose;
use crate::domain::id::{LeaseToken, MessageId, RunId};
use crate::domain::message::{Delivery, Purpose};
use crate::lock::lock;

/// Leases remembered at most: more than can be live at a time.
const LEASES_MAX: usize = 16_384;

/// What happens to a request with a live lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Its handler may run; [`Admissions::end`] says when it has.
    Admitted,
    /// An earlier delivery of the same work still runs.
    StillRunning,
    /// This very delivery was admitted before.
    Repeated,
}

/// What must not run twice at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Work {
    Replay(RunId),
    Message(MessageId),
}

/// The deliveries that were admitted.
#[derive(Default)]
pub struct Admissions(Mutex<State>);

#[derive(Default)]
struct State {
    /// As many as handlers run, which is few.
    running: Vec<(LeaseToken, Work)>,
    admitted: HashSet<LeaseToken>,
    in_order: VecDeque<LeaseToken>,
}

impl Admissions {
    /// Admits a delivery whose lease is live, once, unless its work still runs.
    pub fn admit(&self, delivery: &Delivery) -> Admission {
        let work = work_of(delivery);
        let mut state = lock(&self.0);
        if state.admitted.contains(&delivery.lease_token) {
            return Admission::Repeated;
        }
        if state.running.iter().any(|(_, running)| *running == work) {
            return Admission::StillRunning;
        }
        if state.in_order.len() >= LEASES_MAX
            && let Some(oldest) = state.in_order.pop_front()
        {
            state.admitted.remove(&oldest);
        }
        state.running.push((delivery.lease_token.clone(), work));
        state.admitted.insert(delivery.lease_token.clone());
        state.in_order.push_back(delivery.lease_token.clone());
        Admission::Admitted
    }

    /// The handler of an admitted delivery has ended.
    pub fn end(&self, lease_token: &LeaseToken) {
        lock(&self.0).running.retain(|(running, _)| running != lease_token);
    }
}

fn work_of(delivery: &Delivery) -> Work {
    // What cannot be read replays no run.
    let purpose = purpose::of(&delivery.queue_name, &delivery.body).ok();
    match purpose.as_ref().and_then(Purpose::replayed_run) {
        Some(run_id) => Work::Replay(run_id.clone()),
        None => Work::Message(delivery.message_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(number: i64, lease: &str, queue_name: &str, body: &str) -> Delivery {
        Delivery {
            message_id: MessageId::from_number(number),
            queue_name: queue_name.into(),
            body: body.into(),
            headers: None,
            attempt: 1,
            lease_token: LeaseToken::new(lease),
        }
    }

    fn step(number: i64, lease: &str) -> Delivery {
        delivery(number, lease, "__wkf_step_s", "{}")
    }

    fn replay(number: i64, lease: &str) -> Delivery {
        delivery(number, lease, "__wkf_workflow_w", r#"{"runId":"wrun_1"}"#)
    }

    #[test]
    fn a_delivery_is_admitted_once_also_when_it_has_ended() {
        let admissions = Admissions::default();
        assert_eq!(admissions.admit(&step(1, "a")), Admission::Admitted);
        assert_eq!(admissions.admit(&step(1, "a")), Admission::Repeated);
        admissions.end(&LeaseToken::new("a"));
        assert_eq!(admissions.admit(&step(1, "a")), Admission::Repeated);
    }

    #[test]
    fn a_message_that_is_delivered_again_waits_for_the_end_of_its_handler() {
        let admissions = Admissions::default();
        assert_eq!(admissions.admit(&step(1, "a")), Admission::Admitted);
        assert_eq!(admissions.admit(&step(1, "b")), Admission::StillRunning);
        assert_eq!(admissions.admit(&step(2, "c")), Admission::Admitted);
        admissions.end(&LeaseToken::new("a"));
        assert_eq!(admissions.admit(&step(1, "b")), Admission::Admitted);
    }

    #[test]
    fn a_run_is_replayed_by_one_message_at_a_time() {
        let admissions = Admissions::default();
        assert_eq!(admissions.admit(&replay(1, "a")), Admission::Admitted);
        assert_eq!(admissions.admit(&replay(2, "b")), Admission::StillRunning);
        admissions.end(&LeaseToken::new("a"));
        assert_eq!(admissions.admit(&replay(2, "b")), Admission::Admitted);
    }

    #[test]
    fn no_more_leases_are_remembered_than_can_be_live() {
        let admissions = Admissions::default();
        for number in 0..2 * LEASES_MAX as i64 {
            let lease = number.to_string();
            assert_eq!(admissions.admit(&step(number, &lease)), Admission::Admitted);
            admissions.end(&LeaseToken::new(lease));
        }
        let state = lock(&admissions.0);
        assert_eq!((state.admitted.len(), state.in_order.len()), (LEASES_MAX, LEASES_MAX));
        assert!(state.running.is_empty());
    }
}
